"""Make files and names last through a power cut.

A file system may forget that a file was made or renamed until its folder is flushed, even if the file itself was.
"""

import os
from contextlib import suppress
from pathlib import Path


def flush(path: Path) -> None:
    """Flush a file, or a folder in which a name has changed, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder with mode 0700 if need be. Its name lasts, also if another process made it a moment ago. Raises
    OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(OSError):  # a folder above that this user may not read was not made by this user
        flush(folder.absolute().parent)
