"""`tail`: a line for each order as it goes."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import click

from bridge.cli import listing, options, tables
from bridge.journal import SKIPPED, Listed
from bridge.views.following import following


@click.command()
@listing.selecting
@click.option("--for", "seconds", type=click.FloatRange(min=0), help="End after so many seconds. Default: at Ctrl-C.")
def tail(**asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Print a line for each order as it goes, when it has settled, or after five seconds as waiting.

    --state, --reason, --rule and --fact must all be true of one thing that became of the order. With --json a line is
    what `orders list --json` has of an order.

    \b
    Examples:
      attribution-bridge tail
      attribution-bridge tail --state dead
    """
    with suppress(KeyboardInterrupt):
        options.wait_for(_followed(asked))


async def _followed(asked: Mapping[str, Any]) -> None:
    wanted = listing.entries_of(asked)
    with suppress(TimeoutError):
        async with options.to_read(asked["config"], asked["path"]) as journal, asyncio.timeout(asked["seconds"]):
            async for order in following(journal):
                if wanted.is_met_by(order):
                    _print(order, as_json=asked["as_json"])


def _print(order: Listed, *, as_json: bool) -> None:
    if as_json:
        options.print_json(asdict(order))
        return
    states: Counter[str] = Counter()
    facts: dict[str, list[str]] = {}
    for entry in order.entries:
        if entry.state != SKIPPED:
            states[entry.state] += 1
            facts.setdefault(entry.state, []).append(entry.fact)
    told = "; ".join(f"{state} {', '.join(filter(None, facts[state]))}".rstrip() for state in sorted(states))
    why = "; ".join(dict.fromkeys(f"{each.reason} {each.detail}".strip() for each in order.entries
                                  if each.state in listing.LOUD and each.reason))  # fmt: skip
    line = "  ".join(filter(None, (options.when(order.came_at), order.order, told or "nothing to send", why)))
    loud = next((state for state in states if state in ("dead", "uncertain")), None)
    click.secho(tables.printable(line), fg="red" if loud else None, bold=loud is not None)
