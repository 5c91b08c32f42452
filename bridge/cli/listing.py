"""`orders list`: orders, newest first, and those of them that a person looks for."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

import click

from bridge import clock
from bridge.cli import options, tables, tenants
from bridge.contract import Reason, State
from bridge.journal import SKIPPED, WAITING, Entry, Listed, Reader

_STEP: Final = 500  # documents
_MOST: Final = 100_000
"""Documents that one call looks at. Then it says where it stopped, so that it ends within seconds in any journal."""
_BEYOND: Final = 2**62  # more than the number of any document
_LOUD: Final = {State.DEAD.value: "bold red", State.UNCERTAIN.value: "bold red", WAITING: "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The orders that a person looks for. Empty fields select all. since: no order whose newest document came before;
    until: none whose newest document came then or later."""

    since: datetime | None = None
    until: datetime | None = None
    source: str = ""
    shops: Sequence[str] = ()
    of_entry: Mapping[str, str] = field(default_factory=dict)
    """Field of an entry to its value. One entry must have all of them."""

    def is_met_by(self, order: Listed) -> bool:
        return (
            self.source in ("", order.source)
            and (not self.shops or order.tenant in self.shops)
            and (self.since is None or order.came_at >= self.since)
            and (self.until is None or order.came_at < self.until)
            and (not self.of_entry or any(self._is_met_by_entry(entry) for entry in order.entries))
        )

    def _is_met_by_entry(self, entry: Entry) -> bool:
        return all(getattr(entry, name) == value for name, value in self.of_entry.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The orders of a page. after: where the next page begins; None: there is no order behind these."""

    orders: Sequence[Listed]
    after: int | None
    looked_at: int


async def found(journal: Reader, wanted: Wanted, *, after: int | None, limit: int, most: int = _MOST) -> Found:
    """Look through the journal, newest first, until `limit` orders are found or `most` documents were looked at."""
    before = after if after is not None else await _start(journal, wanted.until)
    orders: list[Listed] = []
    looked_at = 0
    while looked_at < most:
        step = min(_STEP, most - looked_at)
        page = await journal.listing(before=before, limit=step)
        if page.last is None or page.newest is None:
            return Found(orders=orders, after=None, looked_at=looked_at)
        for order in page.orders:
            if wanted.is_met_by(order):
                orders.append(order)
            if len(orders) == limit:
                return Found(orders=orders, after=order.seq, looked_at=looked_at + step)
        looked_at += step
        before = page.last
        # Clocks may be set: one old document does not say that all before it are old, a whole page of them does.
        if wanted.since is not None and page.newest < wanted.since:
            return Found(orders=orders, after=None, looked_at=looked_at)
    return Found(orders=orders, after=before, looked_at=looked_at)


async def _start(journal: Reader, until: datetime | None) -> int:
    """Find the number of the first document that came at `until` or later, by halving."""
    newest = await journal.listing(before=_BEYOND, limit=1)
    if until is None or newest.last is None:
        return _BEYOND
    low, high = 0, newest.last + 1
    while low < high:
        middle = (low + high + 1) // 2
        page = await journal.listing(before=middle, limit=1)
        if page.newest is None or page.newest < until:
            low = middle
        else:
            high = middle - 1
    return low


def _reason(_context: click.Context, _option: click.Parameter, given: str) -> str:
    known = [str(reason) for reason in Reason]
    if given and given not in known:
        near = get_close_matches(given, known, n=3, cutoff=0.4)
        raise click.BadParameter(f"there is no reason {given!r}; near it: {', '.join(near) or ', '.join(known)}")
    return given


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that select orders."""
    states = click.Choice([WAITING, SKIPPED, *(str(state) for state in State)])
    for option in reversed(
        (
            click.option("--since", default="", help="Newest document since then: 7d, 12h or an instant."),
            click.option("--until", default="", help="Newest document before then."),
            click.option("--state", type=states, help="With something in this state."),
            click.option("--reason", default="", callback=_reason, help="With something that has this reason."),
            click.option("--rule", default="", help="With something of this rule."),
            click.option("--fact", default="", help="With this fact, such as order.placed."),
            click.option("--source", default="", help="Newest document from this source."),
            click.option("--shop", default="", help="Of this shop."),
            click.option("--after", type=click.IntRange(min=1), help="Go on where a page ended, as it said."),
            click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Orders."),
        )
    ):
        command = option(command)
    return options.journal(options.as_json(command))


@click.command("list")
@_options
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
    return Wanted(
        since=since,
        until=until,
        source=asked["source"],
        shops=tenants.names_of(asked["config"], asked["shop"]) if asked["shop"] else (),
        of_entry={name: asked[name] for name in ("state", "reason", "rule", "fact") if asked[name]},
    )


def _row(order: Listed) -> Sequence[tables.Cell]:
    states = Counter(entry.state for entry in order.entries if entry.state != SKIPPED)
    loud = [style for state, style in _LOUD.items() if states[state]]
    summary = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "nothing to send"
    return options.when(order.came_at), order.order, (summary, loud[0] if loud else ""), order.tenant
