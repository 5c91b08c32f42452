"""One trial: a flood or two of bad input, drawn from a seed.

    python -m tests.fuzz.trial SEED [FLOOD [COUNT]]

A failure holds the input. To keep it as a test, add it to `test_found.py`.
"""

import asyncio
import inspect
import random
import signal
import sys
from collections import Counter

from tests.fuzz import answers, apart, documents, door
from tests.fuzz.databases import postgres

FLOODS = {
    "door, fast": (1500, lambda chance, count: door.tried(chance, count, fast=True)),
    "door, plain": (1500, lambda chance, count: door.tried(chance, count, fast=False)),
    "documents": (800, documents.tried),
    "documents, Postgres": (500, lambda chance, count: documents.tried(chance, count, postgres=postgres())),
    "answers": (20000, answers.tried),
    "records": (8000, lambda chance, count: apart.tried("records", chance, count)),
    "expressions": (5000, lambda chance, count: apart.tried("expressions", chance, count)),
}
"""How many inputs one trial gives, and what gives them."""


def trial(seed: int) -> Counter[str]:
    """Two floods, and what was done. Raises AssertionError with the input that broke a promise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # processes that it started are ended
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    there = [name for name in FLOODS if "Postgres" not in name or postgres() is not None]
    for name in chance.sample(there, 2):
        done += flood(name, chance.getrandbits(32))
    return done


def flood(name: str, seed: int, count: int | None = None) -> Counter[str]:
    """One flood."""
    usual, tried = FLOODS[name]
    try:
        done = tried(random.Random(seed), count or usual)
        done = asyncio.run(done) if inspect.iscoroutine(done) else done
    except* AssertionError as group:
        raise AssertionError(f"{name}, seed {seed}, {count or usual} inputs: {_first(group)}") from None
    return Counter({f"{name}: {what}": times for what, times in done.items()})


def _first(problem):
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


if __name__ == "__main__":
    given = sys.argv[1:]
    told = flood(given[1], int(given[0]), int(given[2]) if given[2:] else None) if given[1:] else trial(int(given[0]))
    sys.stdout.writelines(f"{times:8} {what}\n" for what, times in told.items())
