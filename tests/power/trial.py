"""One trial: a machine lives under the tracer, and its power is cut at many moments."""

import asyncio
import io
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bridge import registry, telemetry
from bridge.errors import BridgeError
from tests.power.checks import Expected, check_copy, check_journal
from tests.power.disk import Disk
from tests.power.recording import Recorder, Recording
from tests.power.scenarios import SCENARIOS, Machine
from tests.power.traced import Traced
from tests.power.truth import Known, Witness

_CUTS = 150  # cuts of one trial
_COMMON = frozenset({"pwrite64", "write"})
"""Calls that fill a trace. Half of the cuts are at others: what happens seldom goes wrong unseen."""

_MEMORY = Path("/dev/shm")


def trial(seed: int, *, scenario: str = "", cuts: int = _CUTS) -> Counter[str]:
    """Live through one scenario that the seed draws, and cut its power at moments that the seed draws.

    The processes keep their own pace, so that a seed draws the same scenario, but not the same trace. Raises
    NotToBeHad where nothing can be traced; AssertionError for a disk that broke a promise.
    """
    telemetry.set_up(
        level="error", stream=io.TextIOWrapper(io.BytesIO())
    )  # the stand-in tells of a client that was killed
    chance = random.Random(seed)
    drawn = chance.choice(SCENARIOS)
    chosen = next((each for each in SCENARIOS if each.__name__ == scenario), drawn)
    with _folder() as folder:
        try:
            machine, recording = asyncio.run(_lived(folder, chosen, chance))
            return _Cuts(folder, machine, recording, chance).all(cuts) + Counter({chosen.__name__: 1})
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}, {chosen.__name__}: {broken}") from broken
        finally:
            telemetry.set_up(level="warning")


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory, where that is to be had: what a sync costs here says nothing."""
    with tempfile.TemporaryDirectory(prefix="power-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as name:
        folder = Path(name).resolve()
        (folder / "disk").mkdir()
        yield folder


async def _lived(folder, scenario, chance) -> tuple[Machine, Recording]:
    async with registry.sandbox("hellotext").serving() as url:
        async with Traced(folder) as traced:
            machine = Machine(folder, traced, url, chance)
            await scenario(machine)
        recorder = Recorder(machine.disk, door=machine.shop.port, api=int(url.rpartition(":")[2].strip("/")))
        recording = await asyncio.to_thread(recorder.read, traced.trace)
    traced.trace.unlink()
    return machine, recording


class _Cuts:
    """The cuts of one recording."""

    def __init__(self, folder: Path, machine: Machine, recording: Recording, chance: random.Random) -> None:
        self._machine = machine
        self._recording = recording
        self._chance = chance
        self._after = folder / "after"
        self._disk = Disk(str(machine.disk))
        senders = {sender.client: sender.sent for sender in machine.senders}
        self._witness = Witness(senders, [str(place) for place in machine.places])
        self._counted: Counter[str] = Counter()

    def all(self, cuts: int) -> Counter[str]:
        steps, seen = iter(self._recording.steps), iter(self._recording.seen)
        step, one = next(steps, None), next(seen, None)
        for number, line in enumerate(self._lines(cuts)):
            while step is not None and step.line <= line:
                step.apply(self._disk)
                step = next(steps, None)
            while one is not None and one.line <= line:
                self._witness.see(one)
                one = next(seen, None)
            self._cut(number, line)
        known = self._witness.known
        self._counted["answers 200"] = len(known.answered)
        self._counted["unrepeatable requests"] = len(known.left)
        self._counted["steps"] = len(self._recording.steps)
        return self._counted

    def _lines(self, cuts: int) -> Sequence[int]:
        """The moments of the cuts, in their order."""
        steps = self._recording.steps
        rare = [number for number, step in enumerate(steps) if step.name not in _COMMON]
        near = [
            steps[min(len(steps) - 1, self._chance.choice(rare) + self._chance.randint(0, 2))].line
            for _ in range(cuts // 2)
        ]
        seen = [one.line for one in self._recording.seen]
        some = [
            self._chance.choice(self._chance.choice((seen, [step.line for step in steps])))
            for _ in range(cuts - len(near))
        ]
        return sorted(near + some)

    def _cut(self, number: int, line: int) -> None:
        self._make()
        try:
            asyncio.run(self._check())
        except (AssertionError, BridgeError, OSError, ValueError) as broken:
            there = sorted((str(path.relative_to(self._after)), path.stat().st_size) for path in self._after.rglob("*"))
            when = f"cut {number} at line {line} of the trace, after {list(self._witness.begun)[-1:]} had begun"
            text = f"{when}: {type(broken).__name__}: {broken}; on the disk by now: {there}"
            raise AssertionError(text) from broken
        finally:
            shutil.rmtree(self._after)
        self._counted["cuts"] += 1

    def _make(self) -> None:
        """Make the disk as the cut has left it."""
        self._after.mkdir()
        numbers, locks = {}, []
        for name, (file, content) in sorted(self._disk.after_a_cut(self._chance).items()):
            path = self._after / Path(name).relative_to(self._machine.disk)
            if content is None:
                path.mkdir()
                continue
            path.write_bytes(content)
            numbers[file.inode] = path.stat().st_ino
            if name.endswith(".lock"):
                locks.append(path)
        for lock in locks:
            lock.write_bytes(_renumbered(lock.read_bytes(), numbers))

    def _there(self, path: Path) -> Path:
        return self._after / path.relative_to(self._machine.disk)

    def _expected(self, known: Known, *, is_doubtful: bool = False) -> Expected:
        machine, witness = self._machine, self._witness
        erased = {order for name, orders in machine.erased.items() if name in witness.begun for order in orders}
        gone = {order for name, orders in machine.erased.items() if name in witness.done for order in orders}
        return Expected(
            known=known,
            orders=machine.orders,
            erased=erased,
            gone={piece for order in gone for piece in _pieces(machine.orders[order])},
            is_pruned="prune 1" in witness.begun,
            is_doubtful=is_doubtful,
        )

    async def _check(self) -> None:
        machine, witness = self._machine, self._witness
        await check_journal(self._there(machine.journal), self._expected(witness.of(str(machine.journal))))
        await self._check_file(machine.backup, ("backup 2", "backup 1"))
        await self._check_file(machine.export, ("export 1",))
        await self._check_made(machine.restored, machine.backup, "backup 2", "restore 1", is_doubtful=True)
        await self._check_made(machine.moved, machine.export, "export 1", "import 1", is_doubtful=False)

    async def _check_file(self, place: Path, commands: Sequence[str]) -> None:
        """A backup or an export is whole if it is there, and there if a command has said so."""
        file, witness = self._there(place), self._witness
        done = next((name for name in commands if name in witness.done), None)
        assert done is None or file.exists(), f"`{done}` had ended, and {file.name} is not there"
        if file.exists():
            known = witness.begun[done] if done else Known()
            await check_copy(file, self._after / "copy.db", self._expected(known))
            self._counted["copies"] += 1

    async def _check_made(self, place: Path, file: Path, source: str, command: str, *, is_doubtful: bool) -> None:
        """A journal that was made of a file is whole if it is there, and there if its command has said so."""
        witness, made = self._witness, self._there(place)
        if command not in witness.begun:
            return
        known = witness.begun[source].copy()
        known.add(witness.of(str(place)))
        assert made.exists() or command not in witness.done, f"`{command}` had ended, and {made.name} is not there"
        if made.exists():
            await check_journal(made, self._expected(known, is_doubtful=is_doubtful))
        else:
            await check_copy(self._there(file), made, self._expected(known))
        self._counted["journals made"] += 1


def _pieces(body: bytes) -> Sequence[bytes]:
    """Pieces of the visit that the order names: no other order has them, and a packed body has them as they are."""
    visit = json.loads(body)["note_attributes"][0]["value"].encode()
    return [visit[:12], visit[12:24], visit[24:]]


def _renumbered(note: bytes, numbers: dict[int, int]) -> bytes:
    """The note in a lock, with the numbers that the files have on this disk."""
    words = note[:61].split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return note
    file, log = (numbers.get(int(word), int(word)) for word in words)
    return f"{file:<30} {log:<30}".encode() + note[61:]
