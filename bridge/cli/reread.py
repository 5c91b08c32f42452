"""Read documents again, for `dead retry`, that their source could not read. They are read by the source and the
configuration of now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
import msgspec

from bridge import clock, journals
from bridge.cli import options
from bridge.config import read_file
from bridge.contract import Envelope, Reason, Source
from bridge.errors import BridgeError
from bridge.intake.unreadable import read_again
from bridge.jobs.errands import ErrandRunner, performing
from bridge.journal import Intake, Parked


async def reread(facts: Sequence[Parked], asked: dict[str, Any]) -> int:
    """Take in documents that are readable now as if they had just come, and end their dead letters. Returns how many.
    Prints for each of the others why it is not readable."""
    settings = read_file(options.chosen(asked["config"]))
    where = options.journal_settings(asked["config"], asked["path"])
    feeding = journals.store_of(where).feeding(destinations=list(settings.destinations))
    async with performing() as performer, feeding as journal:
        again = _Rereading(journal, performer, settings.sources, {fact.ref: fact for fact in facts})
        done = await options.in_pages(facts, again.all_of, rate=asked["rate"], label="reading")
    click.echo(f"read again: {done} of {len(facts)}; `orders show ORDER` tells what becomes of each")
    return done


@dataclass(slots=True)
class _Rereading:
    journal: Intake
    performer: ErrandRunner
    sources: Mapping[str, Source]
    facts: Mapping[str, Parked] = field(repr=False)

    async def all_of(self, refs: Sequence[str]) -> int:
        return sum([await self._one(self.facts[ref]) for ref in refs])

    async def _one(self, fact: Parked) -> int:
        """Read one document again. Its dead letter ends last: if the process is killed in between, it finds the letter
        and knows that its document is stored."""
        try:
            read = await self._read(fact)
        except BridgeError as problem:
            click.echo(f"{fact.ref} still cannot be read: {problem}", err=True)
            return 0
        await self.journal.append(msgspec.structs.replace(read, came_at=clock.now()))
        return await self.journal.reread([fact.ref])

    async def _read(self, fact: Parked) -> Envelope:
        source, document = self.sources.get(fact.source), await self.journal.document(fact.seq)
        if source is None or document is None:
            raise BridgeError(f"there is no source {fact.source}" if source is None else "its document is gone")
        read = await self.performer.perform(read_again(source, document))
        if read.reason is Reason.UNREADABLE:
            raise BridgeError(read.detail)
        return read
