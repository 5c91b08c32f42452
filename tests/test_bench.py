"""The benchmark still runs, whatever the tables and settings became: small, and no figure is looked at."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_what_needs_no_more_than_the_tests_runs_to_its_end():
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "flat", "--rounds", "1", "--count", "64", "--rows", "200"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert "bytes written: settled / empty" in done.stdout
