"""The process that measures parts, or serves a door to be measured: `python -m bridge.bench.measuring PLAN WORK`.

PLAN is a file. WORK is `parts`: it prints the figures of each part as a line of JSON when it has them. Or WORK is
`serve`: it is the service, and its log is JSON. When its standard input ends the process ends too, for whoever started
it is gone.
"""

import os
import sys
import threading
from pathlib import Path

import msgspec
import uvloop

from bridge import service, telemetry
from bridge.bench import Figures
from bridge.bench.orders import orders
from bridge.bench.parts import delivery, fsync, mapping
from bridge.bench.plan import Plan, settings_of
from bridge.contract import Signs
from bridge.errors import BridgeError
from bridge.jobs.schedule import admins


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the work `parts`. failed: facts that were not delivered."""

    part: str
    figures: Figures
    failed: int = 0


def main(file: str, work: str) -> None:
    """Do the work until it is over."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    plan = msgspec.json.decode(Path(file).read_bytes(), type=Plan)
    settings = settings_of(plan)
    if admins(settings):
        raise BridgeError("a shop would be asked for its orders: nothing is measured")
    if work == "parts":
        telemetry.set_up(level="error")
        _measure(plan, Path(file).parent)
    else:
        telemetry.set_up(level=settings.logs.level, style=settings.logs.style)
        sys.exit(service.run(settings))


def _measure(plan: Plan, folder: Path) -> None:
    settings, seconds = settings_of(plan), plan.seconds
    signer = settings.sources[plan.source]
    assert isinstance(signer, Signs)  # noqa: S101  plan.source_of takes no other
    made = orders(plan.body.encode(), signer=signer, topic=plan.topic)
    _print(Measured(part="fsync", figures=fsync(folder, seconds["fsync"])))
    _print(Measured(part="mapping", figures=mapping(settings, plan.source, made, seconds["mapping"])))
    found, failed = uvloop.run(delivery(settings, plan.source, made, seconds["delivery"]))
    _print(Measured(part="delivery", figures=found, failed=failed))


def _print(line: Measured) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def _end_with_starter() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
