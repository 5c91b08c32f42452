"""A model of a disk that loses its power: what was synced is there, and of the rest any part may be.

Contents. A file is as of its last sync. Of each later write any sector of 512 bytes may be there or not, in any order.
A sector that was written several times may be in each of these versions. Truncations are kept in their order, as a file
system that journals does it; what a truncation took away does not come back after it. A file that has grown may have
any of its lengths since. What was never written of it is zeros, or, on request, anything.

Names. Making, renaming and removing a name lasts once its folder was synced. Before that each of them may be lost
alone; only what happens to one name keeps its order. Syncing a file does not keep its name. This is worse than ext4 and
XFS, which lose the end of one common order, and keep the name of a file that was synced.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

SECTOR = 512
"""Bytes that a disk writes as a whole, or not at all."""

_INDEX = 32_768  # bytes of the index of a log
_FEW = 8  # one of so many disks has bytes of somebody else where a file has grown


@dataclass(frozen=True, slots=True)
class Change:
    """A write, or a truncation (no data) at an offset. end: the line of the trace at which the call had ended."""

    end: int
    offset: int
    data: bytes | None


@dataclass(slots=True, eq=False)
class File:
    """A file, whatever its names.

    inode   its number on the disk that was recorded, where that is known
    kept    its content as of the last sync
    later   what came after that
    length  bytes by now
    """

    kept: bytearray = field(default_factory=bytearray)
    later: list[Change] = field(default_factory=list)
    length: int = 0
    inode: int = 0
    is_mapped: bool = False

    def write(self, offset: int, data: bytes, end: int) -> None:
        self.later.append(Change(end, offset, data))
        self.length = max(self.length, offset + len(data))

    def truncate(self, size: int, end: int) -> None:
        self.later.append(Change(end, size, None))
        self.length = size

    def sync(self, begin: int) -> None:
        """Keep all that had ended when the sync began."""
        for change in (change for change in self.later if change.end < begin):
            _apply(self.kept, change)
        self.later = [change for change in self.later if change.end >= begin]

    def now(self) -> bytes:
        """The content that a program reads now."""
        content = bytearray(self.kept)
        for change in self.later:
            _apply(content, change)
        return bytes(content)


def _apply(content: bytearray, change: Change) -> None:
    if change.data is None:
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


class Folder(File):
    """A folder, as what a name stands for."""


@dataclass(frozen=True, slots=True)
class Naming:
    """One change of names: each becomes a file, or goes away (None)."""

    end: int
    names: tuple[tuple[str, File | None], ...]

    @property
    def folder(self) -> str:
        return str(PurePath(self.names[0][0]).parent)


class Disk:
    """All files below a folder that is there for good."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.names: dict[str, File] = {}
        self._kept: dict[str, File] = {}
        self._later: list[Naming] = []

    def hold(self, name: str, content: bytes, inode: int) -> None:
        """Hold a file that was there, and synced, before anything was recorded."""
        self._kept[name] = self.names[name] = File(kept=bytearray(content), length=len(content), inode=inode)

    def hold_folder(self, name: str) -> None:
        self._kept[name] = self.names[name] = Folder()

    def make(self, name: str, end: int, *, is_folder: bool = False) -> File:
        self.names[name] = made = Folder() if is_folder else File()
        self._later.append(Naming(end, ((name, made),)))
        return made

    def remove(self, name: str, end: int) -> None:
        del self.names[name]
        self._later.append(Naming(end, ((name, None),)))

    def rename(self, old: str, new: str, end: int) -> None:
        self.names[new] = moved = self.names.pop(old)
        self._later.append(Naming(end, ((old, None), (new, moved))))

    def link(self, old: str, new: str, end: int) -> None:
        self.names[new] = self.names[old]
        self._later.append(Naming(end, ((new, self.names[old]),)))

    def sync_folder(self, folder: str, begin: int) -> None:
        for naming in self._later:
            if naming.folder == folder and naming.end < begin:
                _rename(self._kept, naming)
        self._later = [naming for naming in self._later if naming.folder != folder or naming.end >= begin]

    def after_a_cut(self, chance: random.Random) -> dict[str, tuple[File, bytes | None]]:
        """What is there when the power comes back: to each name the file, and its content (None: a folder)."""
        names = dict(self._kept)
        for naming in _some_namings(self._later, chance):
            _rename(names, naming)
        fill = chance.randbytes if chance.randrange(_FEW) == 0 else bytes
        way = chance.choice(("nothing", "all", "beginning", "sectors", "each its own"))
        contents: dict[File, bytes] = {}
        for file in dict.fromkeys(names.values()):
            own = chance.choice(("nothing", "all", "beginning", "sectors")) if way == "each its own" else way
            contents[file] = _content(file, own, chance, fill) if not file.is_mapped else _mapped(chance)
        there = {name: file for name, file in names.items() if self._has_folders(name, names)}
        return {name: (file, None if isinstance(file, Folder) else contents[file]) for name, file in there.items()}

    def _has_folders(self, name: str, names: dict[str, File]) -> bool:
        above = PurePath(name).relative_to(self.root).parents
        return all(str(PurePath(self.root, each)) in names for each in above if str(each) != ".")


def _rename(names: dict[str, File], naming: Naming) -> None:
    for name, file in naming.names:
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def _some_namings(later: Sequence[Naming], chance: random.Random) -> Iterable[Naming]:
    """Choose which changes of names have reached the disk."""
    way = chance.choice(("nothing", "all", "beginning", "any"))
    if way == "all":
        return later
    if way == "any":
        return _in_order_of_names(later, chance)
    return later[: chance.randint(0, len(later)) if way == "beginning" else 0]


def _in_order_of_names(later: Sequence[Naming], chance: random.Random) -> Iterable[Naming]:
    """Lose each change with a chance, and with it all later ones of its names."""
    share = chance.random()
    lost: set[str] = set()
    for naming in later:
        names = {name for name, _ in naming.names}
        if names & lost or chance.random() < share:
            lost |= names
        else:
            yield naming


class _Sectors:
    """The versions of each sector of a file that has changed since its sync."""

    def __init__(self, kept: bytearray) -> None:
        self.content = bytearray(kept)
        self.lengths = [len(kept)]
        self.versions: dict[int, list[bytes | None]] = {}
        """None: the sector was never written, where the file has grown over it."""

    def apply(self, change: Change) -> None:
        if change.data is None:
            _apply(self.content, change)
            self.lengths = [change.offset]
            whole, rest = divmod(change.offset, SECTOR)
            self.versions = {at: found for at, found in self.versions.items() if at < whole or (at == whole and rest)}
            if whole in self.versions:
                self.versions[whole] = [found and found[:rest].ljust(SECTOR, b"\0") for found in self.versions[whole]]
            return
        first, last = change.offset // SECTOR, (change.offset + max(1, len(change.data)) - 1) // SECTOR
        for at in range(first, last + 1):
            self.versions.setdefault(at, [self._of(at)])
        _apply(self.content, change)
        self.lengths.append(len(self.content))
        for at in range(first, last + 1):
            self.versions[at].append(self._of(at))

    def _of(self, at: int) -> bytes | None:
        found = bytes(self.content[at * SECTOR : (at + 1) * SECTOR])
        return found.ljust(SECTOR, b"\0") if found else None


def _mapped(chance: random.Random) -> bytes:
    """Anything: what is written through a mapping is not traced, and never synced."""
    return chance.choice((b"", bytes(_INDEX), chance.randbytes(_INDEX)))


def _content(file: File, way: str, chance: random.Random, fill: Callable[[int], bytes]) -> bytes:
    """Choose a content that the file may have. fill: makes so many bytes of what was never written."""
    if way == "all" or not file.later:
        return file.now()
    if way == "nothing":
        return bytes(file.kept)
    sectors = _Sectors(file.kept)
    taken = chance.randint(0, len(file.later))
    for change in file.later[:taken]:
        sectors.apply(change)
    if way == "beginning":
        return _torn(sectors, file.later[taken : taken + 1], chance)
    return _mixed(sectors, chance, fill)


def _torn(sectors: _Sectors, following: Sequence[Change], chance: random.Random) -> bytes:
    """All writes up to one, and the first sectors of that."""
    for change in following:
        if change.data is None:
            continue
        whole = SECTOR * chance.randint(0, len(change.data) // SECTOR + 1) - change.offset % SECTOR
        _apply(sectors.content, Change(change.end, change.offset, change.data[: max(0, whole)]))
    return bytes(sectors.content)


def _mixed(sectors: _Sectors, chance: random.Random, fill: Callable[[int], bytes]) -> bytes:
    length = chance.choice(sectors.lengths)
    content = bytearray(sectors.content[:length].ljust(length, b"\0"))
    share = chance.random()
    for at, versions in sectors.versions.items():
        if at * SECTOR >= length or chance.random() < share:
            continue
        chosen = chance.choice(versions)
        place = slice(at * SECTOR, min(length, (at + 1) * SECTOR))
        found = fill(SECTOR) if chosen is None else chosen
        content[place] = found[: place.stop - place.start]
    return bytes(content)
