"""Acts that a person asked for on the console. Each begins after a moment in which it can be called off, goes on in
small steps, and can be stopped between two of them."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Literal, Self

from bridge import clock
from bridge.console.parts import Parts
from bridge.contract import State
from bridge.errors import BridgeError
from bridge.journal import Operator, Parked, Selection
from bridge.telemetry import emit
from bridge.views.outcomes import PATIENCE, followed

CALLED_OFF_WITHIN: Final = 10.0
"""Seconds before an act begins."""

_STEP: Final = 25  # facts
_PAUSE: Final = 0.5  # seconds between two steps: 50 facts in a second, as the commands do
_REMEMBERED: Final = 50  # acts that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One kind of act on parked facts. label: on its button. promise: what it means. sends: what becomes of each fact
    is looked for."""

    state: State
    label: str
    promise: str
    act: Callable[[Operator, Sequence[str]], Awaitable[int]]
    sends: bool = False


DEEDS: Final[Mapping[str, Deed]] = {
    "retry": Deed(
        state=State.DEAD,
        label="Retry",
        promise="maps the newest stored document of each order again, by the rules in force",
        act=lambda journal, refs: journal.retry(refs),
        sends=True,
    ),
    "drop": Deed(
        state=State.DEAD,
        label="Drop",
        promise="decides that they are never sent; this cannot be undone once it has begun",
        act=lambda journal, refs: journal.drop(refs),
    ),
    "send": Deed(
        state=State.UNCERTAIN,
        label="Send again",
        promise="sends what the API does not have; what it has, it then has twice",
        act=lambda journal, refs: journal.resend(refs),
        sends=True,
    ),
    "delivered": Deed(
        state=State.UNCERTAIN,
        label="Settle as delivered",
        promise="says that the API has them",
        act=lambda journal, refs: journal.settle(refs, State.DELIVERED),
    ),
    "dropped": Deed(
        state=State.UNCERTAIN,
        label="Settle as dropped",
        promise="says that the API does not have them, and that they are not to be sent",
        act=lambda journal, refs: journal.settle(refs, State.DROPPED),
    ),
}
RELEASE: Final = "release"


@dataclass(slots=True, kw_only=True)
class Act:
    """One act. total: facts that are meant; None until it begins. result: what became of it, line by line."""

    number: int
    doing: str
    title: str
    of: Selection
    begins_at: datetime
    state: Literal["waiting", "running", "done", "stopped", "failed"] = "waiting"
    total: int | None = None
    done: int = 0
    result: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        return self.state not in ("waiting", "running")


class Acts(AbstractAsyncContextManager["Acts"]):
    """The acts of this process, the newest first. Those that are under way when it is left are cancelled."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._acts: deque[Act] = deque(maxlen=_REMEMBERED)
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _problem: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __iter__(self) -> Iterator[Act]:
        return iter(self._acts)

    def find(self, number: int) -> Act | None:
        return next((act for act in self._acts if act.number == number), None)

    def on_facts(self, doing: str, selection: Selection) -> Act:
        """Begin one of DEEDS on parked facts."""
        deed = DEEDS[doing]
        return self._begin(doing, f"{deed.label}: {_words(selection)}", selection, self._on_facts)

    def release(self, dest: str, rule: str) -> Act:
        """Let the orders of a held rule go on."""
        selection = Selection(state=State.DEAD, dest=dest, rule=rule)
        return self._begin(RELEASE, f"Release the rule {rule} of {dest}", selection, self._release)

    def _begin(self, doing: str, title: str, selection: Selection, run: Callable[[Act], Awaitable[None]]) -> Act:
        self._count += 1
        begins_at = clock.now() + timedelta(seconds=CALLED_OFF_WITHIN)
        act = Act(number=self._count, doing=doing, title=title, of=selection, begins_at=begins_at)
        self._acts.appendleft(act)
        task = asyncio.create_task(self._run(act, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return act

    async def _run(self, act: Act, run: Callable[[Act], Awaitable[None]]) -> None:
        if await _is_stopped_within(act, CALLED_OFF_WITHIN):
            act.state = "stopped"
            return
        act.state = "running"
        try:
            await run(act)
        except BridgeError as problem:
            act.state = "failed"
            act.result.append(str(problem))
        else:
            act.state = "stopped" if act.stop.is_set() and act.done < (act.total or 0) else "done"
        emit(
            "console.acted",
            act=act.doing,
            state=str(act.of.state),
            dest=act.of.dest,
            rule=act.of.rule,
            reason=act.of.reason,
            count=act.done,
        )

    async def _release(self, act: Act) -> None:
        act.done = act.total = await self._parts.journal.release(act.of.dest, act.of.rule)
        act.result.append(f"{act.done} orders go on")

    async def _on_facts(self, act: Act) -> None:
        deed, journal = DEEDS[act.doing], self._parts.journal
        facts, unread = await self._selected(act.of)
        act.total = len(facts)
        acted_on: list[Parked] = []
        for start in range(0, len(facts), _STEP):
            if act.stop.is_set():
                break
            step = facts[start : start + _STEP]
            act.done += await deed.act(journal, [fact.ref for fact in step])
            acted_on += step
            if start + _STEP < len(facts):
                await _is_stopped_within(act, _PAUSE)
        if deed.sends and acted_on:
            async with self._parts.reading() as reader:
                ends: Counter[str] = await followed(acted_on, reader, patience=PATIENCE)
            act.result += [f"{times} {end}" for end, times in ends.most_common()]
        if unread:
            act.result.append(f"{unread} could not be read when they came: `dead retry` reads them again")
        if act.done < len(acted_on):
            act.result.append(f"{len(acted_on) - act.done} were not there any more, or their document is not")

    async def _selected(self, selection: Selection) -> tuple[Sequence[Parked], int]:
        """The facts that are selected, and how many more must be read again, which only a command does."""
        async with self._parts.reading() as journal:
            found = [fact async for fact in journal.parked(selection) if selection.refs or _is_of(fact, selection)]
        readable = [fact for fact in found if not fact.is_unread]
        return readable, len(found) - len(readable)


async def _is_stopped_within(act: Act, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await act.stop.wait()
    except TimeoutError:
        return False
    return True


def _is_of(fact: Parked, group: Selection) -> bool:
    """Whether the fact is of this group. A group without a destination or rule has those that have none."""
    return (fact.dest, fact.rule, fact.reason) == (group.dest, group.rule, group.reason)


def _words(selection: Selection) -> str:
    named = (selection.dest, selection.rule, selection.reason)
    what = ", ".join(filter(None, named)) if not selection.refs else f"fact {', '.join(selection.refs)}"
    return f"{selection.state} facts, {what}"
