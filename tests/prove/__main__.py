"""Proves the promise on this machine: trials with one seed after the other, for as long as you like.

make prove                          two minutes of each part
make prove HOURS=1                  an hour in all
make prove PART=world               one part alone: world, power, fuzz, replicas
make prove PART=world SEED=7        one trial again
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import click

PARTS = {
    "world": "a simulated world: orders, faults and persons at drawn times, an API with weather, crashes at any step",
    "power": "power cuts: the journal's files as any moment could have left them",
    "fuzz": "bad input: at the door, in documents, in answers, in records, in rules",
    "replicas": "replicas over Postgres: killed, frozen, cut off",
}
"""The parts of the proof. Each is a package of tests with a module `trial`."""

_EACH = 120.0  # seconds of a part, unless HOURS says otherwise
_SAY_EVERY = 10.0  # seconds
_ALONE = frozenset({"replicas", "power"})
"""Parts whose trials take the whole machine: one at a time."""


@dataclass
class Account:
    """What the trials of a part came to."""

    counted: Counter = field(default_factory=Counter)
    trials: int = 0
    broken: dict[int, str] = field(default_factory=dict)

    def line(self, part: str, seconds: float) -> str:
        most = ", ".join(f"{count:,} {what}" for what, count in self.counted.most_common(6))
        return f"{part}: {seconds:5.0f} s, {self.trials} trials, {len(self.broken)} broken; {most}"


def there() -> list[str]:
    return [
        part
        for part in PARTS
        if importlib.util.find_spec(f"tests.{part}") and importlib.util.find_spec(f"tests.{part}.trial")
    ]


def main() -> int:
    words = argparse.ArgumentParser(
        prog="make prove", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words.add_argument("--part", default="", choices=["", *there()])
    words.add_argument("--seed", default="")
    words.add_argument("--hours", default="")
    words.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    words.add_argument("--stride", type=int, default=0, help=argparse.SUPPRESS)
    chosen = words.parse_args()
    if chosen.worker:
        return work(chosen.part, chosen.worker, chosen.stride)
    parts = [chosen.part] if chosen.part else there()
    if chosen.seed:
        if not chosen.part:
            words.error("a seed is one of a part: PART=world SEED=7")
        return once(chosen.part, int(chosen.seed))
    span = float(chosen.hours) * 3600 / len(parts) if chosen.hours else _EACH
    first = int(time.time()) % 1_000_000 * 1_000
    accounts = {part: proved(part, span, first) for part in parts}
    click.echo()
    for part, account in accounts.items():
        click.echo(account.line(part, span))
        for what, count in sorted(account.counted.items()):
            click.echo(f"    {what:<28}{count:>14,}")
    broken = [(part, seed) for part, account in accounts.items() for seed in account.broken]
    for part, seed in broken:
        click.echo(f"broken: make prove PART={part} SEED={seed}")
    untried = [part for part, account in accounts.items() if not account.trials]
    for part in untried:
        click.echo(f"not tried: {part}")
    click.echo("a promise did not hold" if broken else "every promise that was tried held")
    return 1 if broken or untried else 0


def once(part: str, seed: int) -> int:
    """One trial of one seed, in a process of its own: the order of sets is the same each time."""
    found = subprocess.run(_words(part, seed, 0), env=_environ(), stdout=subprocess.PIPE, text=True, check=False)
    for line in found.stdout.splitlines():
        told = json.loads(line)
        click.echo(told["broken"] or f"the promise held: {told['counted']}")
        return 1 if told["broken"] else 0
    click.echo(f"the trial ended with code {found.returncode}, and said nothing")
    return 1


def proved(part: str, span: float, first: int) -> Account:
    """Run trials for so many seconds, on each processor."""
    click.echo(f"{part}: {PARTS[part]}; seeds from {first + 1}")
    account, began = Account(), time.monotonic()
    count = 1 if part in _ALONE else os.cpu_count() or 1
    workers = [
        subprocess.Popen(_words(part, first + 1 + number, count), env=_environ(), stdout=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    readers = [threading.Thread(target=_read, args=(worker, account, part)) for worker in workers]
    for reader in readers:
        reader.start()
    said = began
    while any(worker.poll() is None for worker in workers):
        if time.monotonic() > began + span and account.trials:  # one trial at the least
            break
        time.sleep(0.5)
        if time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            click.echo(account.line(part, said - began))
    for worker in workers:
        if worker.poll() not in (None, 0):
            account.broken[0] = f"a worker ended with {worker.returncode}"
        worker.terminate()
    for reader in readers:
        reader.join()
    return account


def _read(worker: subprocess.Popen, account: Account, part: str) -> None:
    for line in worker.stdout:
        told = json.loads(line)
        account.trials += 1
        account.counted.update(told["counted"])
        if told["broken"]:
            account.broken[told["seed"]] = told["broken"]
            click.echo(f"\n{part}, seed {told['seed']}: {told['broken']}\n")


def _words(part: str, seed: int, stride: int) -> list[str]:
    return [sys.executable, "-m", "tests.prove", "--part", part, "--worker", str(seed), "--stride", str(stride)]


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": "0"}


def work(part: str, seed: int, stride: int) -> int:
    """Trials, each with one line of JSON. stride 0: one trial."""
    trial = importlib.import_module(f"tests.{part}.trial").trial
    while True:
        broken, counted = "", Counter()
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                counted = trial(seed)
            except AssertionError as problem:
                broken = str(problem) or type(problem).__name__
            except Exception as problem:  # noqa: BLE001  whatever a trial raises is told
                broken = f"{type(problem).__name__}: {problem}"
        click.echo(json.dumps({"seed": seed, "broken": broken, "counted": counted}))
        if not stride:
            return 0
        seed += stride


if __name__ == "__main__":
    sys.exit(main())
