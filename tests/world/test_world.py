"""Two minutes of seeds in which every promise must hold, and the same seed is the same world."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.world import plan, trial

ROOT = Path(__file__).parents[2]
SPAN = 120  # seconds in all


def _asked(*words, more=()):
    """What another process says, in which sets have the same order each time."""
    environ = {**os.environ, "PYTHONHASHSEED": "0", **dict(more)}
    found = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=600
    )
    assert 0 == found.returncode, found.stderr[-3000:]
    return found.stdout


DIGESTS = """
import sys, tempfile
from pathlib import Path
from tests.world import plan, world
for seed in (4, 12, 19):
    with tempfile.TemporaryDirectory() as folder:
        one = world.World(seed, plan.drawn(seed), Path(folder))
        one.run()
        print(one.digest())
"""


def test_a_seed_is_the_same_world_to_the_step():
    first = _asked("-c", DIGESTS)
    assert first == _asked("-c", DIGESTS)
    assert 3 == len(set(first.split()))


def test_every_promise_holds_in_every_world():
    """Worlds from a seed on, for two minutes on each processor. They are the same in each run, so that a failure is of
    the change that it came with; `make prove` draws others."""
    first = 3_000_000
    count = os.cpu_count() or 1
    words = [
        [sys.executable, "-m", "tests.prove", "--part", "world", "--worker", str(first + n + 1), "--stride", str(count)]
        for n in range(count)
    ]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    workers = [
        subprocess.Popen(each, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for each in words
    ]
    time.sleep(SPAN)
    told = []
    for worker in workers:
        worker.terminate()
        out, err = worker.communicate()
        assert "Traceback" not in err, err[-3000:]
        told += [json.loads(line) for line in out.splitlines() if line.endswith("}")]
    counted = sum((Counter(each["counted"]) for each in told), Counter())
    broken = [f"make prove PART=world SEED={each['seed']}: {each['broken']}" for each in told if each["broken"]]
    assert not broken, "\n".join(broken)
    for what in ("delivered", "uncertain", "dead", "held", "lives killed", "answered 503", "erase", "retry"):
        assert counted[what], f"in no world there was: {what}"


def test_what_breaks_is_told_with_the_fewest_happenings():
    happenings = plan.drawn(5)
    guilty = {happenings[3], happenings[10]}
    found = trial.shortened(happenings, lambda some: guilty <= set(some))
    assert [happenings[3], happenings[10]] == found


@pytest.mark.parametrize("seed", [1, 2])
def test_happenings_come_one_after_the_other(seed):
    happenings = plan.drawn(seed)
    assert happenings == sorted(happenings, key=lambda each: each.at)
    assert happenings == plan.drawn(seed)
