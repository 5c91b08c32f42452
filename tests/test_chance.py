"""What is drawn by chance can be drawn again."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """Runs a test that fails with what it drew; the seed that the report says, and the number."""
    (tmp_path / "test_drawn.py").write_text("def test_drawn(chance):\n    raise ValueError(chance.random())\n")

    def run(seed):
        monkeypatch.setenv("TEST_SEED", seed)
        words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "--rootdir", tmp_path, tmp_path]
        told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout
        return re.findall(r"TEST_SEED=(\d+)|^E +ValueError: (\d\S+)$", told, re.MULTILINE)

    return run


def test_a_failure_says_the_seed_and_the_seed_draws_the_same_again(failed):
    (_, drawn), (seed, _) = failed("")
    assert [("", drawn), (seed, "")] == failed(seed)
    assert drawn != failed("")[0][1]
