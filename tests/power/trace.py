"""The lines of strace, read into calls: when each began and ended in the one order in which strace saw them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_UNFINISHED = (" <unfinished ...>", " <detached ...>")
_DESCRIPTOR = re.compile(r"(\d+)<(.*?)(?:<[^>]*>)?>(?:\(deleted\))?(?=[,)]|$)", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")

FAILED = -1
UNKNOWN = -2


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. begin and end are numbers of lines: what another call did in between has a number in between.

    result  what it returned; FAILED; UNKNOWN: its process was killed meanwhile, and it may have had its effect
    """

    process: int
    name: str
    arguments: str
    result: int
    begin: int
    end: int

    @property
    def file(self) -> str:
        """The file or the connection that the first descriptor is."""
        found = _DESCRIPTOR.match(self.arguments)
        return plain(found[2]) if found else ""

    @property
    def texts(self) -> list[bytes]:
        """All strings among the arguments, in their order."""
        return [_bytes(text) for text in _TEXT.findall(self.arguments)]

    @property
    def data(self) -> bytes:
        """The bytes that it wrote."""
        whole = b"".join(self.texts)
        return whole if self.result == UNKNOWN else whole[: self.result]

    @property
    def is_at_a_removed_file(self) -> bool:
        found = _DESCRIPTOR.match(self.arguments)
        return bool(found and found[0].endswith("(deleted)"))

    @property
    def last(self) -> int:
        """The last argument, a number."""
        return int(self.arguments.rpartition(",")[2])


def plain(text: str) -> str:
    """Read a path that strace wrote as numbers."""
    return _HEX.sub(lambda found: _bytes(found[0]).decode(errors="surrogateescape"), text)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Read the lines. A call that never ended had no result, but may have had its effect."""
    open_calls: dict[int, tuple[str, int]] = {}
    for number, line in enumerate(lines):
        process, rest = _split(line)
        if rest.startswith("+++"):
            begun = open_calls.pop(process, None)
            if begun is not None:
                yield _call(process, begun[0] + ") = ?", begun[1], number)
        elif rest.endswith(_UNFINISHED):
            open_calls[process] = rest.rpartition(" <")[0], number
        elif found := _RESUMED.match(rest):
            text, begin = open_calls.pop(process)
            yield _call(process, text + found[2], begin, number)
        else:
            yield _call(process, rest, number, number)


def _split(line: str) -> tuple[int, str]:
    found = _LINE.fullmatch(line.rstrip("\n"))
    if found is None:
        raise ValueError(f"strace wrote a line that is not understood: {line[:100]!r}")
    return int(found[1]), found[2]


def _call(process: int, text: str, begin: int, end: int) -> Call:
    name, _, rest = text.partition("(")
    arguments, equals, result = rest.rpartition(" = ")
    if not equals or '"...' in arguments:
        raise ValueError(f"strace wrote a call that is not understood: {text[:40]!r} ... {text[-100:]!r}")
    number = re.match(r"-?\d+|\?", result)
    value = UNKNOWN if number is None or number[0] == "?" else max(FAILED, int(number[0]))
    return Call(process, name, arguments.rstrip().removesuffix(")"), value, begin, end)
