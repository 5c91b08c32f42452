"""Chromium: one that is there, else that of the distribution.

Usage: python -m tests.chromium  prints where it is.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.packages import NotToBeHad, libraries, unpacked

__all__ = ["Chromium", "NotToBeHad", "chromium"]

PACKAGE = "chromium-headless-shell"
INSTALLED = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromium:
    program: str
    environ: Mapping[str, str] = field(default_factory=dict)


def chromium() -> Chromium:
    """The program and what it needs to know. CHROMIUM names one that is there already. Raises NotToBeHad."""
    if given := os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, INSTALLED)), None):
        return Chromium(program=given)
    root = unpacked(PACKAGE)
    return Chromium(program=str(root / "usr/lib/chromium" / PACKAGE), environ=libraries(root))


if __name__ == "__main__":
    sys.stdout.write(f"{chromium().program}\n")
