"""Files that people write, as text: regular files in UTF-8, of a size that can be read."""

import stat
from os import stat_result
from pathlib import Path
from typing import Final, TypeAlias

LARGEST: Final = 8 * 1024 * 1024
"""The most bytes of a file: a table of 100,000 lines fits."""


Sign: TypeAlias = tuple[int, int, int, int] | None
"""What stat() says of a file, by which it is known to have changed. None: it is not there."""


class NoText(Exception):
    """A file that cannot be read. Says why, without the file's name."""


def text_of(path: Path, largest: int = LARGEST) -> str:
    """The whole text of a file. Raises NoText as `bytes_of` does."""
    return _decoded(bytes_of(path, largest))


def bytes_of(path: Path, largest: int = LARGEST) -> bytes:
    """The whole content of a file. Raises NoText, and never waits: a pipe that nobody writes to is no file."""
    try:
        _check(path.stat(), largest)
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except OSError as problem:
        raise NoText(problem.strerror or str(problem)) from None
    except ValueError:
        raise NoText("its name cannot be that of a file") from None
    if len(raw) > largest:
        raise _too_large(largest)
    return raw


def sign_of(path: Path) -> Sign:
    """The sign of a file as it is now. Whoever reads it takes the sign first: a change between the two is then seen."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # the second: a name that no file can have
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _check(found: stat_result, largest: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise NoText("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise NoText("it is no regular file")
    if found.st_size > largest:
        raise _too_large(largest)


def _too_large(largest: int) -> NoText:
    size = f"{largest >> 20} MiB" if largest >> 20 else f"{largest >> 10} KiB"
    return NoText(f"it has more than {size}")


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise NoText("it is UTF-16: save it as UTF-8") from None
        line = raw.count(b"\n", 0, problem.start) + 1
        raise NoText(f"it is not UTF-8 text (line {line}): save it as UTF-8") from None
