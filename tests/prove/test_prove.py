"""The command that proves the promise: what it says, and with which code it ends."""

import subprocess
import sys
from pathlib import Path

from tests.prove.__main__ import PARTS, Account, there

ROOT = Path(__file__).parents[2]


def _proved(*words):
    found = subprocess.run(
        [sys.executable, "-m", "tests.prove", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return found.returncode, found.stdout + found.stderr


def test_one_seed_is_one_trial():
    code, told = _proved("--part", "world", "--seed", "7")
    assert (0, 1) == (code, told.count("the promise held")), told


def test_a_while_of_one_part_ends_with_an_account():
    code, told = _proved("--part", "world", "--hours", "0.001")
    assert 0 == code, told
    assert "every promise that was tried held" in told.splitlines()[-1]
    assert "answered 200" in told


def test_a_seed_without_its_part_is_refused():
    code, told = _proved("--seed", "7")
    assert (2, True) == (code, "a seed is one of a part: PART=world SEED=7" in told)


def test_every_part_is_there():
    assert list(PARTS) == there()


def test_a_trial_that_broke_counts():
    account = Account(broken={7: "lost"}, trials=3)
    account.counted["orders"] = 1_200
    assert "world:    12 s, 3 trials, 1 broken; 1,200 orders" == account.line("world", 12.4)
