"""Which files a wheel and an sdist hold, and which they should."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("bridge", "connectors")


def packaged(root: Path) -> set[str]:
    """The files of the program: code, SQL, rules, examples, templates."""
    found = (path for package in PACKAGES for path in (root / package).rglob("*"))
    return {str(path.relative_to(root)) for path in found if path.is_file() and "__pycache__" not in path.parts}


def of_wheel(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}


def of_checkout(root: Path) -> set[str]:
    """The files that git knows of."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split("\0") if name and (root / name).exists()}


def of_sdist(path: Path) -> set[str]:
    """Without the folder that all of it is in."""
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
