"""Carry out on the journal what platforms instruct: erase persons and shops, pause errands.

Such documents are parked as `not carried out yet` when they come. So each is in one visible state until it is done,
whatever crashes in between. Only a person hands out what is kept about a person: `attribution-bridge disclose`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.contract import Envelope, Reason, Source, State, known_as
from bridge.errand import Instruction, Instructs
from bridge.errors import JournalError
from bridge.journal import Erased, Erasure, Intake, Parked, Selection
from bridge.telemetry import emit

REQUESTS = Selection(state=State.DEAD, reason=Reason.NOT_CARRIED_OUT_YET)
"""The requests of platforms that are still to be carried out."""

_ERASING = ("erase", "erase all")


def paused_mark(source: str, tenant: str) -> str:
    """The name under which the journal remembers that the platform is not to be asked; empty: it may be."""
    return f"paused:{source}:{tenant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    """Carries out what is parked."""

    journal: Intake
    sources: Mapping[str, Source]

    async def carry_out(self) -> None:
        """Carry out everything that is parked. An instruction that was carried out before is not carried out again:
        somebody else may have sent the signed request again, and what was erased does not come back. Raises
        JournalError for the first that failed, when the others are done. What was not done stays parked."""
        requests = [
            found async for parked in self.journal.parked(REQUESTS) if (found := await self._instructed(parked))
        ]
        erasing = {parked.lane for parked, _, instruction in requests if instruction.task in _ERASING}
        failed: list[JournalError] = []
        for parked, document, instruction in requests:
            if await self._is_repeated(parked, document, instruction):
                _emit_repeated(parked, document, instruction)
                continue
            try:
                await self._carried_out(parked, document, instruction, left=tuple(erasing))
                erasing.discard(parked.lane)
            except JournalError as problem:
                failed.append(problem)
        if failed:
            raise failed[0]

    async def carry_out_again(self, ref: str) -> Erased | None:
        """Carry out one request to erase when a person says so, whether it was carried out before or not. None: there
        is none."""
        requests = [
            found async for parked in self.journal.parked(REQUESTS) if (found := await self._instructed(parked))
        ]
        left = tuple(parked.lane for parked, _, _ in requests)
        for parked, document, instruction in requests:
            if parked.ref == ref and instruction.task in _ERASING:
                return await self._carried_out(parked, document, instruction, left=left)
        return None

    async def _is_repeated(self, parked: Parked, document: Envelope, instruction: Instruction) -> bool:
        """Whether the same instruction was carried out before this one came. What was signed names the lane, so the
        same words are in the same lane."""
        story = await self.journal.story(parked.lane) if instruction.task in _ERASING else None
        done = [fact["settled"] for fact in story.facts if fact["reason"] == Reason.CARRIED_OUT] if story else ()
        return any(isinstance(at, datetime) and at < document.received_at for at in done)

    async def _instructed(self, parked: Parked) -> tuple[Parked, Envelope, Instruction] | None:
        document = await self.journal.document(parked.seq)
        instruction = instruction_of(self.sources, document)
        return None if document is None or instruction is None else (parked, document, instruction)

    async def _carried_out(
        self, parked: Parked, document: Envelope, instruction: Instruction, *, left: tuple[int, ...]
    ) -> Erased | None:
        about, erased = _about(parked), None
        match instruction.task:
            case "disclose":
                emit(
                    "disclosure.due",
                    **about,
                    ref=parked.ref,
                    until=(document.received_at + instruction.within).isoformat(),
                )
                return None
            case "pause":
                await self.journal.remember(paused_mark(parked.source, parked.tenant), document.topic)
                emit("errands.paused", **about)
            case "erase" | "erase all":
                erased = await self._erased(parked, instruction, left)
                emit("erased", **about, orders=erased.orders, bodies=erased.bodies, is_lasting=erased.is_lasting)
        await self.journal.conclude(parked.ref)
        return erased

    async def _erased(self, parked: Parked, instruction: Instruction, left: tuple[int, ...]) -> Erased:
        """Erase the request itself last, and no other request with it: a process that is killed meanwhile knows what is
        left to do."""
        others = Erased()
        for tenant in known_as([self.sources.get(parked.source)], parked.tenant):
            erasure = Erasure(
                tenant=tenant,
                aliases=instruction.aliases,
                orders=instruction.orders,
                everything=instruction.task == "erase all",
                left=left,
            )
            others = _together(others, await erase(self.journal, erasure))
        itself = await self.journal.erase(Erasure(tenant=parked.tenant, orders=(parked.order,)))
        return replace(
            itself, orders=others.orders + itself.orders, bodies=others.bodies + itself.bodies, last=others.last
        )


def _about(parked: Parked) -> Mapping[str, object]:
    return {"source": parked.source, "tenant": parked.tenant, "topic": parked.topic, "id": parked.id}


def _emit_repeated(parked: Parked, document: Envelope, instruction: Instruction) -> None:
    until = (document.received_at + instruction.within).isoformat()
    detail = f"it was carried out before: `erase {parked.ref}` does it again, `disclose {parked.ref} --done` ends it"
    emit("request.repeated", **_about(parked), ref=parked.ref, until=until, detail=detail)


def instruction_of(sources: Mapping[str, Source], document: Envelope | None) -> Instruction | None:
    """The instruction of a document, as its source reads it."""
    source = sources.get(document.source) if document is not None else None
    return source.instruction(document) if isinstance(source, Instructs) and document is not None else None


_ORDERS_AT_ONCE = 500  # orders


async def erase(journal: Intake, erasure: Erasure, *, came_to: Callable[[int], None] = lambda _orders: None) -> Erased:
    """Erase page by page, after what comes later is blocked. A whole shop is not blocked: it may be installed again.

    A request may name some 100,000 orders. They are looked for a few at a time, so that others get their turn.
    """
    total = Erased()
    parts = _parts(erasure)
    for part in () if erasure.everything else parts:
        await journal.block(part)
    for part in parts:
        done = await _erase(journal, part, came_to)
        total = _together(total, done)
    return total


def _together(one: Erased, then: Erased) -> Erased:
    return Erased(
        orders=one.orders + then.orders, bodies=one.bodies + then.bodies, last=then.last, is_lasting=then.is_lasting
    )


def _parts(erasure: Erasure) -> Sequence[Erasure]:
    """Split an erasure into parts of a few orders each, with the person last: an order that was erased is not found by
    the person's names any more."""
    most = _ORDERS_AT_ONCE
    orders = [erasure.orders[start : start + most] for start in range(0, len(erasure.orders), most)]
    if len(orders) <= 1:
        return [erasure]
    return [*(replace(erasure, orders=some, aliases=()) for some in orders), replace(erasure, orders=())]


async def _erase(journal: Intake, erasure: Erasure, came_to: Callable[[int], None]) -> Erased:
    orders = bodies = 0
    after = erasure.after
    while True:
        step = await journal.erase(replace(erasure, after=after))
        orders, bodies, after = orders + step.orders, bodies + step.bodies, step.last
        came_to(step.orders)
        if not step.more:
            return Erased(orders=orders, bodies=bodies, last=after, is_lasting=step.is_lasting)
