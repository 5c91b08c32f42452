"""`orders list`: a line for each order that a person looks for."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

import click

from bridge import clock
from bridge.cli import options, tables, tenants
from bridge.contract import Reason, State
from bridge.journal import SKIPPED, WAITING, Listed
from bridge.views.listing import Found, Wanted, found

LOUD: Final = {State.DEAD.value: "bold red", State.UNCERTAIN.value: "bold red", WAITING: "yellow"}
"""States that a person looks for, and how they look."""


def _reason(_context: click.Context, _option: click.Parameter, given: str) -> str:
    known = [str(reason) for reason in Reason]
    if given and given not in known:
        near = get_close_matches(given, known, n=3, cutoff=0.4)
        raise click.BadParameter(f"there is no reason {given!r}; near it: {', '.join(near) or ', '.join(known)}")
    return given


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that select orders by what became of them, and those of the journal."""
    states = click.Choice([WAITING, SKIPPED, *(str(state) for state in State)])
    for option in reversed(
        (
            click.option("--state", type=states, help="With something in this state."),
            click.option("--reason", default="", callback=_reason, help="With something that has this reason."),
            click.option("--rule", default="", help="With something of this rule."),
            click.option("--fact", default="", help="With this fact, such as order.placed."),
            click.option("--source", default="", help="Newest document from this source."),
            click.option("--shop", default="", help="Of this shop."),
        )
    ):
        command = option(command)
    return options.journal(options.as_json(command))


def entries_of(asked: Mapping[str, Any]) -> Wanted:
    """What `selecting` selects."""
    return Wanted(
        source=asked["source"],
        shops=tenants.names_of(asked["config"], asked["shop"]) if asked["shop"] else (),
        of_entry={name: asked[name] for name in ("state", "reason", "rule", "fact") if asked[name]},
    )


@click.command("list")
@click.option("--since", default="", help="Newest document since then: 7d, 12h or an instant.")
@click.option("--until", default="", help="Newest document before then.")
@selecting
@click.option("--after", type=click.IntRange(min=1), help="Go on where a page ended, as it said.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Orders.")
def list_(**asked: Any) -> None:  # noqa: ANN401  click's parameters
    """List orders, one line each, those with the newest documents first.

    --state, --reason, --rule and --fact must all be true of one thing that became of the order. A rule that gave no
    fact has the state `skipped`. Looks at 100000 documents at most, and says where it stopped.

    \b
    Examples:
      attribution-bridge orders list --since 1d --state dead
      attribution-bridge orders list --state skipped --reason 'no identity'
    """
    told = options.wait_for(_listed(asked))
    if asked["as_json"]:
        options.print_json(
            {"orders": [asdict(order) for order in told.orders], "after": told.after, "looked_at": told.looked_at}
        )
        return
    if told.orders:
        tables.print_table([_row(order) for order in told.orders], is_cut=True)
    elif told.after is None:
        click.echo("no order is like that", err=True)
    if told.after is not None:
        reached = "" if len(told.orders) == asked["limit"] else f"{told.looked_at} documents were looked at; "
        click.echo(f"{reached}there may be more: the next page is `--after {told.after}`", err=True)


async def _listed(asked: Mapping[str, Any]) -> Found:
    wanted = _wanted(asked, clock.now())
    async with options.to_read(asked["config"], asked["path"]) as journal:
        return await found(journal, wanted, after=asked["after"], limit=asked["limit"])


def _wanted(asked: Mapping[str, Any], now: datetime) -> Wanted:
    since, until = (options.moment(name, asked[name], now) if asked[name] else None for name in ("since", "until"))
    if since is not None and until is not None and until <= since:
        raise click.UsageError("--until is not after --since")
    return replace(entries_of(asked), since=since, until=until)


def _row(order: Listed) -> Sequence[tables.Cell]:
    states = Counter(entry.state for entry in order.entries if entry.state != SKIPPED)
    loud = [style for state, style in LOUD.items() if states[state]]
    summary = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "nothing to send"
    return options.when(order.came_at), order.order, (summary, loud[0] if loud else ""), order.tenant
