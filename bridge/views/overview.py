"""What `status` knows, and what it makes of it: one line for each thing, with the cure of what is not well."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from bridge.contract import State
from bridge.delivery.outage import MARK, Outage, outage_in
from bridge.journal import Hold, Levels, Memory, ParkedGroup, Reader
from bridge.views.live import Destination, Live, StreamState

_NO_DESTINATION: Final = "(no destination)"
_NO_RULE: Final = "(no rule)"
_TAKES_NOTHING: Final = frozenset({"paused", "down"})
_PATIENCE: Final = {"suspicious": 60.0}
_USUAL_PATIENCE: Final = 900.0
"""Seconds that an order may be overdue before a person should look, by the state of its destination: a quarter of an
hour, as the alert AttributionBridgeOrdersWait has it, and less where it does not answer."""
_STATE_AND_CURE: Final = {
    State.DEAD: "`dead list`, then `dead retry` or `dead drop`",
    State.UNCERTAIN: "`uncertain list`, then `uncertain send` or `uncertain settle`",
}


class Line(NamedTuple):
    """One line of the screen. A line that is not well says in its text what to do."""

    section: str
    subject: str
    text: str
    is_well: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The last scheduled reconciliation of a shop: when it began, and up to when the shop's orders were compared."""

    source: str
    tenant: str
    began: datetime | None
    upto: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the journal says, whether a bridge runs or not."""

    levels: Levels
    holds: Sequence[Hold]
    parked: Sequence[ParkedGroup]
    outages: Mapping[str, Outage]
    reconciled: Sequence[Reconciled]


async def recorded(journal: Reader) -> Recorded:
    """Read what the journal says. Looks only at what waits and what is parked."""
    marks = {mark.name.removeprefix(MARK): outage_in(mark.value) for mark in await journal.memories(MARK)}
    return Recorded(
        levels=await journal.levels(),
        holds=await journal.holds(),
        parked=await journal.parked_groups(),
        outages={dest: outage for dest, outage in marks.items() if outage is not None},
        reconciled=_reconciled(await journal.memories(_BEGUN), await journal.memories(_CAME_TO)),
    )


_BEGUN: Final = "turn:reconcile:"
_CAME_TO: Final = "reconciled:"


def _reconciled(begun: Sequence[Memory], came_to: Sequence[Memory]) -> Sequence[Reconciled]:
    began = {mark.name.removeprefix(_BEGUN): mark.at for mark in begun}
    upto = {mark.name.removeprefix(_CAME_TO): datetime.fromisoformat(mark.value) for mark in came_to if mark.value}
    shops = [(name, *name.split(":", 1)) for name in sorted(began.keys() | upto.keys()) if ":" in name]
    return [
        Reconciled(source=source, tenant=tenant, began=began.get(name), upto=upto.get(name))
        for name, source, tenant in shops
    ]


def is_same_journal(here: str, there: str) -> bool:
    """Whether two names that logs have for a journal are of one journal."""
    if here == there:
        return True
    one, other = Path(here), Path(there)
    return one.exists() and other.exists() and one.samefile(other)


def lines_of(found: Recorded, live: Live | str, *, journal: str) -> Iterator[Line]:
    """Everything on one screen. live: what the running bridge says, or why there is no such bridge."""
    if isinstance(live, Live):
        yield Line("bridge", "running", f"version {live.version}")
        yield from _door_and_rules(live)
    else:
        yield Line("bridge", "stopped", f"{live}; start it, or name its private port with --private", is_well=False)
    yield from _journal(found.levels, journal)
    yield from _destinations(found, live.destinations if isinstance(live, Live) else ())
    for stream in live.streams if isinstance(live, Live) else ():
        yield from _stream(stream)
    yield from _held(found.holds)
    yield from _parked(found.parked)
    for shop in found.reconciled:
        text = f"last run {_when(shop.began)}, compared up to {_when(shop.upto)}"
        yield Line("reconciled", shop.source, f"{shop.tenant}: {text}")


def _held(holds: Sequence[Hold]) -> Iterator[Line]:
    if not holds:
        yield Line("held rules", "none", "")
    for hold in holds:
        since = f"{hold.dest}, since {_when(hold.since)}: {hold.detail}"
        yield Line("held rules", hold.rule, f"{since}; `dead release {hold.dest} {hold.rule}`", is_well=False)


def _parked(groups: Sequence[ParkedGroup]) -> Iterator[Line]:
    if not groups:
        yield Line("parked", "none", "")
    for group in groups:
        what = f"{group.dest or _NO_DESTINATION}, {group.rule or _NO_RULE}: {group.reason}"
        text = f"{what}, since {_when(group.since)}; {_STATE_AND_CURE[State(group.state)]}"
        yield Line("parked", f"{group.count} {group.state}", text, is_well=False)


def _door_and_rules(live: Live) -> Iterator[Line]:
    refuses, takes = live.door.refuses, live.door.takes_webhooks
    is_open = "open" if live.door.open and takes else "closed"
    usual = "deliveries are taken in" if takes else "no source takes webhooks"
    yield Line("door", is_open, refuses or usual, is_well=refuses is None)
    rules = live.rules
    since = f"{rules.digest}, since {_when(rules.since)}" if rules.since else rules.digest
    refused = f"; a change was refused: {rules.refused}; ask `check`" if rules.refused else ""
    yield Line("rules", f"generation {rules.generation}", since + refused, is_well=not refused)


def _journal(levels: Levels, name: str) -> Iterator[Line]:
    free = "" if levels.free is None else f", {levels.free / 1e9:.1f} GB free on its disk"
    yield Line("journal", "readable", f"{name}{free}")


def _destinations(found: Recorded, live: Sequence[Destination]) -> Iterator[Line]:
    for worker in live:
        why = f", since {_when(worker.since)}: {worker.reason}" if worker.reason else ""
        again = f", asked again in {worker.asked_again_in_s:.0f} s" if worker.asked_again_in_s else ""
        text = f"{worker.mode}{why}{again}; {_waiting(found.levels, worker.name)}"
        yield Line(worker.name, worker.state, text, is_well=_is_taking(found.levels, worker.name, worker.state))
    for dest in sorted((found.levels.waiting.keys() | found.outages.keys()) - {worker.name for worker in live}):
        outage = found.outages.get(dest)
        why = f"since {_when(outage.since)}: {outage.reason}; " if outage else ""
        state = str(outage.state) if outage else "-"
        is_well = _is_taking(found.levels, dest, state)
        yield Line(dest, state, f"{why}{_waiting(found.levels, dest)}", is_well=is_well)


def _is_taking(levels: Levels, dest: str, state: str) -> bool:
    """Whether a destination takes what is sent to it in time."""
    late = levels.overdue.get(dest, 0.0)
    return state not in _TAKES_NOTHING and late < _PATIENCE.get(state, _USUAL_PATIENCE)


def _waiting(levels: Levels, dest: str) -> str:
    count, late = levels.waiting.get(dest, 0), levels.overdue.get(dest, 0.0)
    if not count:
        return "nothing waits"
    orders = "1 order waits" if count == 1 else f"{count} orders wait"
    return f"{orders}, the oldest overdue for {_span(late)}" if late >= 1 else orders


def _stream(stream: StreamState) -> Iterator[Line]:
    lags = [each.lag for each in stream.partitions if each.lag is not None]
    lag = f", {sum(lags)} records behind" if lags else ""
    count = len(stream.partitions)
    text = f"{'1 partition' if count == 1 else f'{count} partitions'}{lag}"
    is_reading = stream.state == "reading"
    yield Line(
        stream.name, "reading" if is_reading else "not reading", text if is_reading else stream.state, is_reading
    )
    for each in stream.partitions:
        if each.is_stopped:
            why = each.state.removeprefix("stopped: ")
            yield Line(stream.name, "stopped", f"{each.topic}/{each.partition}: {why}", is_well=False)


def _span(seconds: float) -> str:
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} s"


def _when(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment is not None else "never"
