"""What a trace says, as steps: changes of a disk, and what others have seen of the bridge."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.power.disk import Disk
from tests.power.trace import FAILED, Call, calls

_CONNECTION = re.compile(r"TCP(?:v6)?:\[127\.\S+:(\d+)->(127\.\S+):(\d+)\]")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
_MAPPED = "-shm"  # the index of SQLite's log: it is made anew by whoever opens the journal first


class NotUnderstood(Exception):
    """The process changed a file in a way that this recorder cannot follow."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the disk, applied when the trace has come to this line."""

    line: int
    name: str
    apply: Callable[[Disk], object]


@dataclass(frozen=True, slots=True)
class Answered:
    """The door's 200 for a delivery has begun to leave. client: the address of its sender; nth: of its answers."""

    line: int
    client: str
    nth: int


@dataclass(frozen=True, slots=True)
class Left:
    """A request for a fact has begun to leave."""

    line: int
    order: str
    action: str
    is_repeatable: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the log that has begun to leave."""

    line: int
    event: Mapping[str, object]


@dataclass(slots=True)
class Recording:
    """All steps, and all that was seen, each in the order of its line."""

    steps: list[Step] = field(default_factory=list)
    seen: list[Answered | Left | Said] = field(default_factory=list)


class Recorder:
    """Reads a trace. root: the folder whose files are followed. door, api: ports."""

    def __init__(self, root: Path, *, door: int, api: int) -> None:
        self._root = str(root)
        self._door = door
        self._api = api
        self._recording = Recording()
        self._answers: dict[str, int] = defaultdict(int)
        self._sent: dict[str, bytearray] = defaultdict(bytearray)
        self._begun: dict[str, int] = {}
        self._logs: dict[str, bytearray] = defaultdict(bytearray)
        self._written: dict[str, int] = defaultdict(int)

    def read(self, trace: Path) -> Recording:
        with trace.open(encoding="ascii", errors="surrogateescape") as lines:
            for one in calls(lines):
                if one.result != FAILED:
                    self._take(one)
        self._recording.steps.sort(key=lambda step: step.line)
        self._recording.seen.sort(key=lambda one: one.line)
        return self._recording

    def _take(self, call: Call) -> None:
        if call.name in {"rename", "renameat", "renameat2", "link", "linkat"}:
            self._two_names(call)
        elif call.name in {"open", "openat", "openat2", "creat"}:
            self._opened(call)
        elif call.name in {"unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"}:
            self._one_name(call)
        elif self._is_followed(call.file):
            self._at_a_file(call, call.file)
        elif call.file.startswith("TCP"):
            self._at_a_connection(call)
        elif call.name in {"write", "writev"} and call.file.endswith(".log"):
            self._logged(call)

    def _is_followed(self, path: str) -> bool:
        return path == self._root or path.startswith(self._root + "/")

    def _step(self, call: Call, line: int, apply: Callable[[Disk], object]) -> None:
        self._recording.steps.append(Step(line, call.name, apply))

    # -- names ---------------------------------------------------------------------------------------------------------

    def _path(self, call: Call, nth: int = 0) -> str:
        """The nth path. All that is followed is named by a whole path."""
        return call.texts[nth].decode(errors="surrogateescape")

    def _two_names(self, call: Call) -> None:
        old, new = self._path(call), self._path(call, 1)
        if not (self._is_followed(old) or self._is_followed(new)):
            return
        if str(Path(old).parent) != str(Path(new).parent):
            raise NotUnderstood(f"{call.name} from one folder to another: {old}, {new}")
        if call.name.startswith("link"):
            self._step(call, call.begin, lambda disk: disk.link(old, new, call.end))
        else:
            self._step(call, call.begin, lambda disk: disk.rename(old, new, call.end))

    def _opened(self, call: Call) -> None:
        path = self._path(call)
        if not self._is_followed(path):
            return
        makes, empties = "O_CREAT" in call.arguments, "O_TRUNC" in call.arguments

        def apply(disk: Disk) -> None:
            if path in disk.names:
                if empties:
                    disk.names[path].truncate(0, call.end)
            elif makes:
                disk.make(path, call.end).is_mapped = path.endswith(_MAPPED)

        if makes or empties:
            self._written[path] = 0
            self._step(call, call.begin, apply)

    def _one_name(self, call: Call) -> None:
        path = self._path(call)
        if not self._is_followed(path):
            return
        if call.name.startswith("mkdir"):
            self._step(call, call.begin, lambda disk: disk.make(path, call.end, is_folder=True))
        else:
            self._step(call, call.begin, lambda disk: disk.names.get(path) and disk.remove(path, call.end))

    # -- contents ------------------------------------------------------------------------------------------------------

    def _at_a_file(self, call: Call, path: str) -> None:
        if path.endswith(_MAPPED) or call.is_at_a_removed_file:
            return
        if call.name in {"fsync", "fdatasync"}:
            self._step(call, call.end, lambda disk: _sync(disk, path, call.begin))
        elif call.name == "ftruncate":
            size = call.last
            self._step(call, call.begin, lambda disk: disk.names[path].truncate(size, call.end))
        elif call.name in {"pwrite64", "write", "writev"}:
            self._write(call, path)
        else:
            raise NotUnderstood(f"{call.name} at {path}")

    def _write(self, call: Call, path: str) -> None:
        data = call.data
        offset = call.last if call.name == "pwrite64" else self._written[path]
        if call.name != "pwrite64":
            self._written[path] += len(data)

        def apply(disk: Disk) -> None:
            file = disk.names.get(path)
            if file is None:  # its name is gone, and so is it after a cut
                return
            file.write(offset, data, call.end)
            if path.endswith(".lock") and offset == 0:
                _learn_numbers(disk, path.removesuffix(".lock"), data)

        self._step(call, call.begin, apply)

    # -- what leaves ---------------------------------------------------------------------------------------------------

    def _at_a_connection(self, call: Call) -> None:
        found = _CONNECTION.match(call.file)
        if found is None or call.name not in {"write", "writev", "sendto", "sendmsg"}:
            return
        own, address, other = int(found[1]), found[2], int(found[3])
        data = call.data
        if own == self._door and data.startswith(b"HTTP/1.1 "):
            self._answers[address] += 1
            if data.startswith(b"HTTP/1.1 200"):
                self._recording.seen.append(Answered(call.begin, address, self._answers[address]))
        elif other == self._api:
            self._requested(call, data)

    def _requested(self, call: Call, data: bytes) -> None:
        sent = self._sent[call.file]
        if not sent:
            self._begun[call.file] = call.begin
        sent += data
        head, end, rest = bytes(sent).partition(_END_OF_HEAD)
        length = _LENGTH.search(head + b"\r\n")
        if not end or len(rest) < (size := int(length[1]) if length else 0):
            return
        if b"/v1/attribution/events " in head.partition(b"\r\n")[0]:
            body = json.loads(rest[:size])
            order, action = body["object_parameters"]["reference"], body["action"]
            self._recording.seen.append(Left(self._begun[call.file], order, action, "profile" in body))
        del sent[:]

    def _logged(self, call: Call) -> None:
        log = self._logs[call.file]
        log += call.data
        *lines, rest = bytes(log).split(b"\n")
        log[:] = rest
        for line in lines:
            if line.startswith(b"{"):
                self._recording.seen.append(Said(call.begin, json.loads(line)))


def _sync(disk: Disk, path: str, begin: int) -> None:
    if path in disk.names and path != disk.root:
        disk.names[path].sync(begin)
    disk.sync_folder(path, begin)


def _learn_numbers(disk: Disk, journal: str, note: bytes) -> None:
    """Learn the inode numbers of the journal and its log from the note that the owner leaves in its lock."""
    numbers = note.split()
    for name, number in zip((journal, f"{journal}-wal"), numbers, strict=False):
        if (file := disk.names.get(name)) is not None and number.isdigit():
            file.inode = int(number)
