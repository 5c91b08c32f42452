"""Inputs for pure parts of the program, tried in a process of their own: one that ends or hangs it is a fault too.

    python -m tests.fuzz.apart MODULE SEED COUNT [FILE]

FILE keeps the input that is tried now.
"""

import faulthandler
import importlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.mutations import shown
from tests.processes import ROOT

MEMORY = 2 << 30
"""Bytes of address space of the process: an input that takes more fails."""
HANGS = 30
"""Seconds in which fifty inputs must be through."""


def tried(module, chance, count):
    """Try so many inputs of a module; what was done."""
    seed = chance.getrandbits(32)
    ended = _run(module, seed, count)
    if ended.returncode == 0:
        return Counter(json.loads(ended.stdout))
    if ended.returncode == 3:
        raise AssertionError(json.loads(ended.stdout))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:  # the same again, more slowly
        place = Path(folder, "input")
        again = _run(module, seed, count, place)
        last = place.read_text(errors="replace") if place.exists() else "it did not happen again"
    raise AssertionError(
        f"{module} with seed {seed} ended with {ended.returncode}, then {again.returncode}, at {shown(last)}: "
        f"{ended.stderr[-3000:]}"
    )


def _run(module, seed, count, *place):
    words = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.apart", module, str(seed), str(count)]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(
        [*words, *map(str, place)], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )


def main(module, seed, count, place=None):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    given = importlib.import_module(f"tests.fuzz.{module}")
    done: Counter[str] = Counter()
    for number, one in enumerate(given.inputs(random.Random(int(seed)), int(count))):
        if number % 50 == 0:
            faulthandler.dump_traceback_later(HANGS, exit=True)
        if place is not None:
            Path(place).write_text(shown(one))
        done["inputs"] += 1
        try:
            done[given.judged(one)] += 1
        except AssertionError as problem:
            return f"{problem}: {shown(given.smaller(one))}", 3
    return done, 0


if __name__ == "__main__":
    said, code = main(*sys.argv[1:])
    json.dump(said, sys.stdout)
    sys.exit(code)
