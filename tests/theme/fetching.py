"""Chromium: one that is there, else that of the distribution, fetched once without root into the ignored cache.

Usage: python -m tests.theme.fetching  prints where it is.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "chromium-headless-shell"
INSTALLED = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")


class NotToBeHad(Exception):
    """No browser on this machine and none to fetch: the reason is the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromium:
    program: str
    environ: Mapping[str, str] = field(default_factory=dict)


def chromium() -> Chromium:
    """The program and what it needs to know. CHROMIUM names one that is there already. Raises NotToBeHad."""
    if given := os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, INSTALLED)), None):
        return Chromium(program=given)
    kept = Path(os.environ.get("BRIDGE_CACHE") or ROOT / ".cache") / "chromium"
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "root").exists():
            _fetch(kept)
    libraries = {str(path.parent) for path in (kept / "root/usr/lib").glob("*-linux-*/**/*.so*")}
    program = kept / "root/usr/lib/chromium" / PACKAGE
    return Chromium(program=str(program), environ={"LD_LIBRARY_PATH": ":".join(sorted(libraries))})


def _fetch(kept: Path) -> None:
    """The package, and what of its dependencies is not installed; its own lists, since those here may be old."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotToBeHad("there is no Chromium and no apt-get to fetch it; set CHROMIUM to one that is there")
    with tempfile.TemporaryDirectory(dir=kept) as name:
        folder = Path(name)
        for part in ("lists/partial", "archives/partial", "root"):
            (folder / part).mkdir(parents=True)
        apt = ["apt-get", "-q", "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}",
               "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]  # fmt: skip
        _run([*apt, "update"], folder)
        planned = _run([*apt, "--yes", "--no-install-recommends", "--print-uris", "install", PACKAGE], folder)
        _run([*apt, "download", *re.findall(r"^'\S+' ([^_ ]+)_\S+\.deb ", planned, re.MULTILINE)], folder)
        for package in sorted(folder.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(folder / "root")], folder)
        (folder / "root").rename(kept / "root")


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise NotToBeHad(f"{command[0]} could not fetch {PACKAGE}: {done.stderr.strip()[-300:]}")
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{chromium().program}\n")
