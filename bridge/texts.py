"""Files of a configuration as text: regular files in UTF-8, of a size that can be read."""

import stat
from pathlib import Path
from typing import Final

LARGEST: Final = 8 * 1024 * 1024
"""Bytes: a table of 100,000 lines has room in it."""


class NoText(Exception):
    """A file that cannot be read as text. Says why, without the file's name."""


def text_of(path: Path) -> str:
    """The whole text. Raises NoText, and never waits: a pipe that nobody writes to is no file."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise NoText("it is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise NoText("it is no regular file")
        if found.st_size > LARGEST:
            raise NoText(f"it has more than {LARGEST >> 20} MiB")
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as problem:
        raise NoText(problem.strerror or str(problem)) from None
    except ValueError:
        raise NoText("its name cannot be that of a file") from None
    if len(raw) > LARGEST:
        raise NoText(f"it has more than {LARGEST >> 20} MiB")
    return _decoded(raw)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise NoText("it is UTF-16: save it as UTF-8") from None
        line = raw.count(b"\n", 0, problem.start) + 1
        raise NoText(f"it is not UTF-8 text (line {line}): save it as UTF-8") from None
