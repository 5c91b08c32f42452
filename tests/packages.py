"""Packages of the distribution, fetched once without root and without installing anything, into the ignored cache."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


class NotToBeHad(Exception):
    """No apt here, or no such package: the reason is the text."""


def unpacked(package: str) -> Path:
    """Where the package, and what of its dependencies is not installed, was unpacked. Raises NotToBeHad."""
    kept = Path(os.environ.get("BRIDGE_CACHE") or ROOT / ".cache") / package
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "root").exists():
            _fetch(package, kept)
    return kept / "root"


def libraries(root: Path) -> dict[str, str]:
    """The environment in which a program of the package finds what was unpacked beside it."""
    found = {str(path.parent) for path in (root / "usr/lib").glob("*-linux-*/**/*.so*")}
    return {"LD_LIBRARY_PATH": ":".join(sorted(found))}


def _fetch(package: str, kept: Path) -> None:
    """With lists of its own, since those here may be old."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotToBeHad(f"there is no {package}, and no apt-get to fetch it")
    with tempfile.TemporaryDirectory(dir=kept) as name:
        folder = Path(name)
        for part in ("lists/partial", "archives/partial", "root"):
            (folder / part).mkdir(parents=True)
        apt = ["apt-get", "-q", "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}",
               "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]  # fmt: skip
        _run([*apt, "update"], folder)
        planned = _run([*apt, "--yes", "--no-install-recommends", "--print-uris", "install", package], folder)
        _run([*apt, "download", *re.findall(r"^'\S+' ([^_ ]+)_\S+\.deb ", planned, re.MULTILINE)], folder)
        for archive in sorted(folder.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(archive), str(folder / "root")], folder)
        (folder / "root").rename(kept / "root")


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise NotToBeHad(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
