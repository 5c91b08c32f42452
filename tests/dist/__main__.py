"""Tries what would be released: is all in it, and does one order go through it on every Python that there is?

Usage: python -m tests.dist FOLDER     FOLDER holds one wheel and one sdist, as `make dist` makes them; exits 1 if not
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.dist.contents import ROOT, of_checkout, of_sdist, of_wheel, packaged
from tests.dist.trial import NotDelivered, delivered, pythons

ENOUGH = ["tests/test_docs.py"]
"""What reads files beside the program: this runs from the unpacked sdist, all others are collected there."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(folder: Path) -> int:
    """Gives the exit code."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    missing = [f"{wheel.name}: {name}" for name in sorted(packaged(ROOT) - of_wheel(wheel))]
    missing += [f"{sdist.name}: {name}" for name in sorted(of_checkout(ROOT) - of_sdist(sdist))]
    for name in missing:
        say(f"missing in {name}")
    good = not missing
    if good:
        say(f"{wheel.name} has all {len(packaged(ROOT))} files of the program, {sdist.name} all of the checkout")
    return 0 if all([good, _is_tested(sdist), *_tried(wheel)]) else 1


def _is_tested(sdist: Path) -> bool:
    """With the tools of this environment, and the code of the sdist."""
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(sdist) as archive:
            archive.extractall(name, filter="data")
        (unpacked,) = Path(name).iterdir()
        run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        for words in (["--collect-only"], ENOUGH):
            done = subprocess.run([*run, *words], cwd=unpacked, capture_output=True, text=True, check=False)
            if done.returncode:
                say(f"from {sdist.name}: pytest {' '.join(words)} failed\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
                return False
            say(f"from {sdist.name}: pytest {' '.join(words)}: {done.stdout.strip().splitlines()[-1]}")
    return True


def _tried(wheel: Path) -> list[bool]:
    """For each Python that is supported: whether an order was delivered, also true for one that is not here."""
    ended, tried = [], 0
    for version, python in pythons().items():
        if python is None:
            say(f"Python {version}: skipped, there is no python{version} on the PATH nor among pyenv's versions")
            continue
        tried += 1
        try:
            told = delivered(wheel, python)
        except NotDelivered as problem:
            say(f"Python {version} ({python}): {problem}")
            ended.append(False)
        else:
            say(f"Python {version} ({python}): {told}")
    return ended or [tried > 0]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
