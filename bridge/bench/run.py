"""One run: each part is measured after the other, and all that was made for it is removed."""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from bridge import clock, registry
from bridge.bench import AT_ONCE, Card, Example, Figures
from bridge.bench.load import Load
from bridge.bench.measuring import Measured
from bridge.bench.orders import orders
from bridge.bench.plan import Place, Plan, concurrency_of, pointed_at, settings_of
from bridge.bench.processes import Line, serving, started
from bridge.bench.stand_in import AtOnce, answering, refusing
from bridge.config import Settings
from bridge.contract import Reason, Signs
from bridge.dry_run import DryRun
from bridge.dry_run.deliveries import Posted
from bridge.errors import BridgeError
from bridge.intake.webhook import PATH

SHARES: Mapping[str, float] = {"fsync": 0.08, "intake": 0.28, "mapping": 0.08, "delivery": 0.2, "chain": 0.36}
"""The parts, and the share of the time that each is measured for."""

_WARM = 0.2
"""Share of a stage of load whose orders are not counted."""
_LEAST_FREE = 1024 * 1024 * 1024
"""Bytes that must be free on the disk before anything is measured."""
_BUSY = 0.9
"""Share of a processor above which the load, and not the bridge, was the limit."""
_IN_MEMORY = 0.01
"""Milliseconds of an fsync below which nothing can have been written."""
_DELIVERED = "delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is measured.

    sections  the configuration as it stands in `file`
    source    the source whose door is posted to
    body      the order that is posted; topic: of its deliveries
    folder    where the temporary folder is made
    seconds   how long all parts are measured together
    on_part   called with the name of each part when it begins
    """

    sections: Mapping[str, Any]
    file: str
    source: str
    body: bytes
    topic: str
    folder: Path
    seconds: float
    on_part: Callable[[str], None]

    def example(self) -> Example:
        """What the rules make of the order. Raises BridgeError if they make nothing of it."""
        settings = settings_of(self.plan(Place(api=1, journal=Path("journal.db"), min_free=0)))
        posted = Posted(source=self.source, body=self.body, received_at=clock.now(), topic=self.topic, id="bench")
        verdicts = posted.walk(DryRun(settings), settings)
        requests = sum(len(verdict.requests) for verdict in verdicts)
        if not requests:
            raise BridgeError(f"the rules of {self.file} give no fact of an order that was just placed and paid: "
                              "there would be nothing to send")  # fmt: skip
        return Example(
            body=self.body,
            facts=sum(bool(verdict.requests) or verdict.word == Reason.RULE_FAILED for verdict in verdicts),
            requests=requests,
            concurrency=concurrency_of(settings),
        )

    async def measured(self) -> Card:
        """Measure all parts. Nothing of it is left, also if this is cancelled."""
        free = shutil.disk_usage(self.folder).free
        if free < _LEAST_FREE:
            raise BridgeError(f"{self.folder} has less than 1 GiB free: name another folder with --folder")
        facts = self.example().facts
        with TemporaryDirectory(prefix="attribution-bridge-bench-", dir=self.folder) as made:
            stages = _Stages(self, Path(made), min_free=free // 2)
            await stages.alone()
            await stages.loaded("intake", facts=0)
            await stages.loaded("chain", facts=facts)
        figures = {part: stages.figures[part] for part in SHARES}
        if figures["fsync"].p50 < _IN_MEMORY:
            stages.remarks.insert(0, f"{self.folder} seems to be in memory: nothing in it outlasts a power cut.")
        return Card(figures=figures, remarks=tuple(stages.remarks))

    def plan(self, place: Place) -> Plan:
        """What a process is told that measures at this place."""
        return Plan(
            sections=pointed_at(place, self.sections, self.source),
            file=self.file,
            source=self.source,
            body=self.body.decode(),
            topic=self.topic,
            seconds={part: self.seconds * share for part, share in SHARES.items()},
        )


@dataclass(slots=True)
class _Stages:
    """The stages of a run, with what was found so far."""

    bench: Bench
    folder: Path
    min_free: int
    figures: dict[str, Figures] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    async def alone(self) -> None:
        """Measure the parts that need no door."""
        parts = ["fsync", "mapping", "delivery"]
        async with (
            answering(_at_once(self.bench)) as api,
            started(self._plan("parts", api), self.folder, "parts") as process,
        ):
            assert process.stdout is not None  # noqa: S101  it is a pipe
            assert process.stderr is not None  # noqa: S101  ditto
            for part in parts:
                self.bench.on_part(part)
                line = await process.stdout.readline()
                if not line:
                    said = (await process.stderr.read()).decode(errors="replace").strip()
                    raise BridgeError(f"the process that measures has ended: {said[-500:]}")
                found = msgspec.json.decode(line, type=Measured)
                self.figures[part] = found.figures
                if found.failed:
                    self.remarks.append(f"delivery: {found.failed:,} facts were not delivered; see `preview`.")

    async def loaded(self, part: str, *, facts: int) -> None:
        """Measure a door under load. facts: of an order that is done only when they are final; 0: nothing is sent."""
        self.bench.on_part(part)
        seconds = self.bench.seconds * SHARES[part]
        ended: dict[str, int] = {}

        def note(line: Line) -> None:
            if line.event == "fact.settled":
                load.came(line.id)
                ended[line.state] = ended.get(line.state, 0) + 1

        async with AsyncExitStack() as stack:
            api = (
                await stack.enter_async_context(answering(_at_once(self.bench)))
                if facts
                else stack.enter_context(refusing())
            )
            plan = self._plan(part, api)
            load = Load(orders(self.bench.body, signer=_signer(settings_of(plan), plan), topic=plan.topic), facts=facts)
            port = await stack.enter_async_context(serving(plan, self.folder, note))
            busy, began = _processor_seconds(), clock.monotonic()
            found = await load.run(
                port, f"{PATH}{plan.source}", connections=AT_ONCE, warm=_WARM * seconds, seconds=(1 - _WARM) * seconds
            )
            share = (_processor_seconds() - busy) / (clock.monotonic() - began)
        if found is None:
            raise BridgeError(f"{part}: no order was done in {seconds:.0f} s; refused: {dict(load.refusals) or 'none'}")
        self.figures[part] = found
        self._remark(part, load, {state: count for state, count in ended.items() if state != _DELIVERED}, share)

    def _remark(self, part: str, load: Load, other: Mapping[str, int], share: float) -> None:
        for status, count in sorted(load.refusals.items()):
            self.remarks.append(f"{part}: the door answered {status} to {count:,} orders.")
        if load.lost:
            self.remarks.append(f"{part}: the door closed {load.lost} of {AT_ONCE} connections.")
        for state, count in sorted(other.items()):
            self.remarks.append(f"{part}: {count:,} facts became {state}.")
        if share > _BUSY:
            self.remarks.append(f"{part}: the load was the limit; the bridge may do more.")

    def _plan(self, part: str, api: int) -> Plan:
        return self.bench.plan(Place(api=api, journal=self.folder / f"{part}.db", min_free=self.min_free))


def _signer(settings: Settings, plan: Plan) -> Signs:
    source = settings.sources[plan.source]
    assert isinstance(source, Signs)  # noqa: S101  plan.source_of takes no other
    return source


def _at_once(bench: Bench) -> AtOnce:
    """What the API answers, as the connector of the destinations says. Raises BridgeError if there are several."""
    names = sorted({str(each["connector"]) for each in bench.sections["destinations"].values()})
    stand_in = registry.sandbox(names[0])
    if len(names) > 1 or not hasattr(stand_in, "at_once"):
        raise BridgeError(
            f"bench has no API to send to for {', '.join(names)}: name a configuration with one connector"
        )
    found: AtOnce = stand_in.at_once
    return found


def _processor_seconds() -> float:
    """Seconds of processor time of this process so far: the load and the API."""
    spent = os.times()
    return spent.user + spent.system
