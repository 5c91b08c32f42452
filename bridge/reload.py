"""Reload changed rules while the service runs. They are checked, and then swapped in whole. If something is wrong, the
old rules stay in force.

SIGHUP asks for it, and so does a changed file: the configuration, what it includes, its tables. Files are looked at,
not watched: a ConfigMap's symlink swap, an editor's rename and a network disk all show in what stat() says.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from bridge.config import Settings, read_file
from bridge.errors import BridgeError, ConfigurationError, JournalBusy
from bridge.fact_names import check_and_remember
from bridge.journal import Journal
from bridge.known_series import show_known_series
from bridge.mapping.rulebook import Rulebook
from bridge.telemetry import GENERATION, RULES_UP_TO_DATE, emit, frames

LOOK_EVERY: Final = 5.0  # seconds
_AT_START_ONLY: Final = ("sources", "destinations", "journal", "door", "private", "delivery", "logs")

Seen: TypeAlias = Mapping[Path, tuple[int, int, int, int] | None]


class Carrying(Protocol):
    """A worker, as far as changed rules concern it."""

    def learn_holds(self) -> None:
        """Let go of holds whose rule has changed, before anything more is begun."""


@dataclass(slots=True, kw_only=True)
class Reload:
    """Takes changed rules over. `settings` are those of the start; only rules are ever changed."""

    settings: Settings
    book: Rulebook
    journal: Journal
    workers: Sequence[Carrying]

    async def run(self, asked: asyncio.Event) -> None:
        """Look for changed files until cancelled. asked: SIGHUP came."""
        files: Sequence[Path] = self.settings.files
        seen = looked_at(files)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY if files else None):
                    await asked.wait()
            now = looked_at(files)
            if asked.is_set() or now != seen:
                asked.clear()
                files, seen = await self._reloaded(files, now)

    async def _reloaded(self, files: Sequence[Path], now: Seen) -> tuple[Sequence[Path], Seen]:
        """Reload, and return the files to look at from now on, and how they looked when they were read. How they looked
        is empty if they must be read again for the journal's sake."""
        try:
            found = await asyncio.to_thread(self._read)
            await self._take(found)
        except JournalBusy as problem:
            self._refuse(f"{problem}; it is tried again")
            return files, {}
        except BridgeError as problem:
            self._refuse(str(problem))
            wrong = problem.problems if isinstance(problem, ConfigurationError) else ()
            more = {Path(each.file): None for each in wrong if each.file and Path(each.file) not in now}
            return (*files, *more), {**now, **looked_at([*more])}
        except Exception as problem:  # noqa: BLE001  the boundary to whatever files hold: the old rules stay in force
            emit("reload.failed", problem=type(problem).__name__, frames=frames(problem))
            self._refuse(f"{type(problem).__name__} while reading it; see the log event reload.failed")
            return files, now
        return found.files, {**looked_at(found.files), **{path: now[path] for path in found.files if path in now}}

    def _read(self) -> Settings:
        if not self.settings.files:
            raise BridgeError("the configuration was not read from a file: it cannot be read again")
        return read_file(self.settings.files[0])

    async def _take(self, found: Settings) -> None:
        changed = [name for name in _AT_START_ONLY if found.sections.get(name) != self.settings.sections.get(name)]
        if found.read_by_sources != self.settings.read_by_sources:
            changed.append("vars that a source reads")
        if changed:
            raise BridgeError(f"{', '.join(changed)} changed, which needs a restart: nothing was taken over")
        await check_and_remember(self.journal, found)
        if found.rules.digest == self.book.rules.digest:
            self.book.refused = ""
            RULES_UP_TO_DATE.set(1)
            return
        self.book.take(found.rules)
        for worker in self.workers:
            worker.learn_holds()
        emit_loaded(self.book, found)

    def _refuse(self, why: str) -> None:
        self.book.refused = why
        RULES_UP_TO_DATE.set(0)
        emit("rules.refused", generation=self.book.generation, detail=why)


def looked_at(files: Sequence[Path]) -> Seen:
    """The signs by which a file is known to have changed. None: it is not there."""
    found: dict[Path, tuple[int, int, int, int] | None] = {}
    for path in files:
        try:
            stat = path.stat()
            found[path] = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except (OSError, ValueError):  # the second: a name that no file can have
            found[path] = None
    return found


def emit_loaded(book: Rulebook, settings: Settings) -> None:
    """Log the rules in force. Warn of those that are switched off, and of what no rule is for."""
    show_known_series(settings)
    GENERATION.set(book.generation)
    RULES_UP_TO_DATE.set(1)
    rules = sum(len(book.rules.names(name)) for name in settings.destinations)
    emit("rules.loaded", generation=book.generation, digest=book.rules.digest[:12], rules=rules)
    for name, where in settings.switched_off.items():
        emit("rule.switched_off", rule=name, detail=f"{where} says so: what it would send is not sent")
    for sentence in settings.unfed():
        emit("rule.missing", detail=sentence)
