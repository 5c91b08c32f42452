"""Reload changed rules while the service runs. They are checked, and then swapped in whole. If something is wrong, the
old rules stay in force.

SIGHUP asks for it, and so does a changed file: the configuration, what it includes, its tables. Files are looked at,
not watched: a ConfigMap's symlink swap, an editor's rename and a network disk all show in what stat() says.
"""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bridge.config import Settings, read_file
from bridge.errors import BridgeError, JournalBusy
from bridge.fact_names import check_and_remember
from bridge.journal import Journal
from bridge.known_series import show_known_series
from bridge.mapping.rulebook import Rulebook
from bridge.telemetry import GENERATION, RULES_UP_TO_DATE, emit, frames
from bridge.texts import Sign, sign_of

LOOK_EVERY: Final = 5.0  # seconds
_AT_START_ONLY: Final = ("sources", "destinations", "journal", "door", "private", "console", "delivery", "logs")


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
    in_force: Settings = field(init=False)
    """The settings whose rules are in force: those of the start, or those that were taken over last."""

    def __post_init__(self) -> None:
        self.in_force = self.settings

    async def run(self, asked: asyncio.Event) -> None:
        """Look for changed files until cancelled. asked: SIGHUP came."""
        seen: Mapping[Path, Sign] = self.settings.files if self.settings.file else {}
        is_again = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY if seen else None):
                    await asked.wait()
            if asked.is_set() or is_again or any(sign_of(path) != sign for path, sign in seen.items()):
                asked.clear()
                seen, is_again = await self._reloaded(seen)
                gc.collect()  # rules know each other in circles: the old ones would stay for hours

    async def _reloaded(self, seen: Mapping[Path, Sign]) -> tuple[Mapping[Path, Sign], bool]:
        """Reload, and return the files to look at from now on as they were before they were read, and whether they must
        be read again for the journal's sake."""
        now = {path: sign_of(path) for path in seen}
        read: dict[Path, Sign] = {}
        try:
            found = await asyncio.to_thread(self._read, read)
            await self._take(found)
        except JournalBusy as problem:
            self._refuse(f"{problem}; it is tried again")
            return {**now, **read}, True
        except BridgeError as problem:
            self._refuse(str(problem))
        except Exception as problem:  # noqa: BLE001  the boundary to whatever files hold: the old rules stay in force
            emit("reload.failed", problem=type(problem).__name__, frames=frames(problem))
            self._refuse(f"{type(problem).__name__} while reading it; see the log event reload.failed")
        else:
            return read, False
        return {**now, **read}, False

    def _read(self, files: dict[Path, Sign]) -> Settings:
        if self.settings.file is None:
            raise BridgeError("the configuration was not read from a file: it cannot be read again")
        return read_file(self.settings.file, files=files)

    async def _take(self, found: Settings) -> None:
        changed = [name for name in _AT_START_ONLY if found.sections.get(name) != self.settings.sections.get(name)]
        if found.read_by_sources != self.settings.read_by_sources:
            changed.append("vars that a source or destination reads")
        if changed:
            raise BridgeError(f"{', '.join(changed)} changed, which needs a restart: nothing was taken over")
        await check_and_remember(self.journal, found)
        self.in_force = found
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
