"""Read batches of records as the brokers keep them, so that one bad record is one bad record.

aiokafka's own reader gives up a fetched answer at the first record that it cannot take apart. What it had read before
is lost, and the caller learns neither partition nor offset. This reader stands in its place. Good batches are read by
aiokafka's fast code. A batch that it cannot take apart is read again here, record by record. A record that is broken
comes with a Fault and all its bytes, and the batch goes on behind it. A batch of which nothing more can be read gives
one record that is nowhere, and ends the answer.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

import mmap
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

import cramjam
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

LARGEST: Final = 64 * 2**20
"""The most bytes of a batch when it is unpacked: a few kilobytes can be packed so that they fill any memory."""

NOWHERE: Final = 2**62
"""The offset of the stand-in for records that cannot be read. It is behind all others, so that nobody takes it as
known."""

_FRAME: Final = struct.Struct(">qi")
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_MAGIC: Final = 16  # offset of the version, in bytes
_NEWEST: Final = 2  # version of the format
_ATTRIBUTES: Final = 22  # offset of the attributes, in bytes
_CODEC: Final = 0x07  # bits of the attributes
_APPEND_TIME: Final = 0x08  # bit of the attributes
_VARINT: Final = 10  # bytes of the longest number
_SHORTEST: Final = 6  # bytes of the shortest record
_MOST: Final = 2**24  # records of one batch

Raw: TypeAlias = Any
"""A record as aiokafka makes it, or a _Record of ours."""


class _Broken(Exception):
    """Why bytes cannot be taken apart."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record cannot be taken apart.

    whole   neither can what is behind it in the batch: it begins at `first`, and `behind` is what the batch says to be
            the offset behind its end, if it says one that can be
    """

    reason: str
    first: int
    whole: bool = False
    behind: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """A record with the fields that aiokafka's have; the last is unused in its records of today."""

    offset: int
    timestamp: int
    timestamp_type: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    checksum: Fault | None = None


class _Header(NamedTuple):
    base_offset: int
    length: int
    epoch: int
    magic: int
    crc: int
    attributes: int
    last_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int


class Batches:
    """The batches of one fetched answer, under the names by which aiokafka asks for them. Never raises."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """The size of the data. It is 0 while no batch is whole: aiokafka would step over a record that it takes to be
        too large."""
        return len(self._data) if self.has_next() else 0

    def has_next(self) -> bool:
        return self._at + _FRAME.size <= len(self._data) and self._end() <= len(self._data)

    def _end(self) -> int:
        _, length = _FRAME.unpack_from(self._data, self._at)
        return self._at + _FRAME.size + max(0, int(length))

    def next_batch(self) -> "_Batch | _Unreadable":
        """The next one; there is none behind one that cannot be read."""
        data = self._data[self._at : self._end()]
        try:
            batch = _Batch(data, self._end_here)
        except Exception as problem:  # noqa: BLE001 - whatever bytes do to a parser, they do it to themselves alone
            self._end_here()
            return _Unreadable(data, _said(problem))
        self._at += len(data)
        return batch

    def _end_here(self) -> None:
        self._at = len(self._data)


class _Batch:
    """One batch. Making it raises where nothing of it can be read."""

    def __init__(self, data: memoryview, end_here: Callable[[], None]) -> None:
        self._end_here = end_here
        magic = data[_MAGIC] if len(data) > _MAGIC else 0
        if magic > _NEWEST:
            raise _Broken(f"format {magic} is not known")
        self._header: _Header | None = None
        parsed = LegacyRecordBatch(data, magic) if magic < _NEWEST else DefaultRecordBatch(data)
        if not parsed.validate_crc():
            raise _Broken("its checksum is wrong: it was damaged on a disk or on the way")
        if magic == _NEWEST:
            self._header = _Header(*_HEADER.unpack_from(data))
            self._records = data[_HEADER.size :]
            if codec := self._header.attributes & _CODEC:
                self._records = memoryview(_unpacked(self._records, codec))
                parsed = DefaultRecordBatch(_plain(data) + self._records)
        self._parsed = parsed
        self.base_offset: int = parsed.base_offset
        self.next_offset: int = parsed.next_offset
        self.producer_id: int | None = parsed.producer_id
        self.is_transactional: bool = parsed.is_transactional
        self.is_control_batch: bool = parsed.is_control_batch
        self._marker = next(parsed) if self.is_control_batch else None

    def validate_crc(self) -> bool:
        """Answer True: it was checked when the batch was made."""
        return True

    def __next__(self) -> Raw:
        """The one record of a control batch."""
        return self._marker

    def __iter__(self) -> Iterator[Raw]:
        read = 0
        try:
            for record in self._parsed:
                yield record
                read += 1
        except Exception as problem:  # noqa: BLE001 - as above
            reason = _said(problem)
        else:
            return
        if self._header is None:
            rest = iter([_nothing_behind(self.base_offset, reason)])
        else:
            rest = islice(_one_by_one(self._header, self._records), read, None)
        for each in rest:
            if each.offset == NOWHERE:
                self._end_here()
            yield each


class _Unreadable:
    """Stands for a batch of which nothing can be read."""

    producer_id = None
    is_control_batch = is_transactional = False
    next_offset = NOWHERE + 1

    def __init__(self, data: memoryview, reason: str) -> None:
        self.base_offset: int = _FRAME.unpack_from(data)[0]
        header = _Header(*_HEADER.unpack_from(data)) if len(data) >= _HEADER.size else None
        self._record = _nothing_behind(self.base_offset, reason, header)

    def validate_crc(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Raw]:
        yield self._record


def _nothing_behind(first: int, reason: str, header: _Header | None = None) -> _Record:
    behind = header.base_offset + header.last_delta + 1 if header is not None and header.magic == _NEWEST else None
    if behind is not None and not first < behind <= first + _MOST:
        behind = None
    return _Record(offset=NOWHERE, timestamp=-1, checksum=Fault(reason, first, whole=True, behind=behind))


def _said(problem: Exception) -> str:
    """Name a parser's problem without its words, which may quote what it read."""
    return str(problem) if isinstance(problem, _Broken) else f"not a batch of records ({type(problem).__name__})"


# -- record by record --------------------------------------------------------------------------------------------------


def _one_by_one(header: _Header, records: memoryview) -> Iterator[_Record]:
    """The records of a batch: each says where it ends. The last is nowhere if what is behind cannot be read."""
    at, offset = 0, header.base_offset
    for _ in range(header.records):
        try:
            content, at = _content(records, at)
        except _Broken as problem:
            yield _nothing_behind(offset, f"{problem}, so nothing behind it can be read", header)
            return
        record = _record(header, bytes(content), offset)
        offset = record.offset + 1
        yield record


def _content(records: memoryview, at: int) -> tuple[memoryview, int]:
    """The bytes of the next record, and where they end."""
    length, at = _varint(records, at)
    if length < _SHORTEST:
        raise _Broken("a record is shorter than any record")
    return _piece(records, at, length), at + length


def _record(header: _Header, content: bytes, expected: int) -> _Record:
    """The record; with its bytes as its value where it is broken. Its offset is at least the expected one."""
    of_batch = bool(header.attributes & _APPEND_TIME)
    timestamp, offset = header.max_timestamp if of_batch else header.first_timestamp, expected
    data = memoryview(content)
    try:
        since, at = _varint(data, 1)
        delta, at = _varint(data, at)
        timestamp, offset = timestamp if of_batch else timestamp + since, max(expected, header.base_offset + delta)
        key, at = _bytes(data, at)
        value, at = _bytes(data, at)
        headers, at = _headers(data, at)
        why = "" if at == len(data) else "it has more bytes than parts"
    except _Broken as problem:
        why = str(problem)
    if why:
        fault = Fault(f"the record is broken: {why}", offset)
        return _Record(offset=offset, timestamp=timestamp, value=content, checksum=fault)
    return _Record(
        offset=offset, timestamp=timestamp, timestamp_type=int(of_batch), key=key, value=value, headers=headers
    )


def _headers(data: memoryview, at: int) -> tuple[tuple[tuple[str, bytes | None], ...], int]:
    """A name that is no UTF-8 is read as other clients read it: with a sign for what is none."""
    count, at = _varint(data, at)
    if not 0 <= count <= len(data):
        raise _Broken("it has no such number of headers")
    headers = []
    for _ in range(count):
        name, at = _bytes(data, at)
        value, at = _bytes(data, at)
        headers.append(((name or b"").decode(errors="replace"), value))
    return tuple(headers), at


def _bytes(data: memoryview, at: int) -> tuple[bytes | None, int]:
    """Read bytes with their length. None: the length is negative."""
    length, at = _varint(data, at)
    return (None, at) if length < 0 else (bytes(_piece(data, at, length)), at + length)


def _piece(data: memoryview, at: int, length: int) -> memoryview:
    if length < 0 or at + length > len(data):
        raise _Broken("a part is longer than the whole")
    return data[at : at + length]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in zigzag, and where the next begins."""
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the sign that more comes
            return (value >> 1) ^ -(value & 1), at + index + 1
    raise _Broken("a number has no end")


# -- unpacking ---------------------------------------------------------------------------------------------------------


def _plain(data: memoryview) -> bytes:
    """The header of the batch, as if it had never been packed."""
    header = bytearray(data[: _HEADER.size])
    header[_ATTRIBUTES] &= ~_CODEC
    return bytes(header)


def _unpacked(packed: memoryview, codec: int) -> bytes:
    """Unpack a batch. Raises _Broken beyond LARGEST, before more memory than that is taken."""
    unpack = _CODECS.get(codec)
    if unpack is None:
        raise _Broken(f"compression {codec} is not known")
    try:
        return unpack(bytes(packed))
    except (cramjam.DecompressionError, zlib.error, struct.error) as problem:
        raise _Broken(f"it cannot be unpacked, or not into {LARGEST >> 20} MiB ({type(problem).__name__})") from None


def _gzip(packed: bytes) -> bytes:
    """Unpack one stream, or several in a row."""
    parts: list[bytes] = []
    size = 0
    while packed:
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        parts.append(stream.decompress(packed, LARGEST - size + 1))
        size += len(parts[-1])
        if size > LARGEST or not stream.eof:
            raise _Broken(f"it is cut off, or larger than {LARGEST >> 20} MiB")
        packed = stream.unused_data
    return b"".join(parts)


def _within(unpack_into: Callable[[bytes, memoryview], int]) -> Callable[[bytes], bytes]:
    """Make a decoder out of one that fills the memory it is given. Pages of memory that it does not touch are never
    taken."""

    def unpacked(packed: bytes) -> bytes:
        with mmap.mmap(-1, LARGEST) as room, memoryview(room) as view:
            return bytes(view[: unpack_into(packed, view)])

    return unpacked


_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = 16  # bytes


def _snappy(packed: bytes) -> bytes:
    """Raw, or in the blocks of Java's clients."""
    return b"".join(_snappy_blocks(packed)) if packed.startswith(_XERIAL) else _raw_snappy(packed, LARGEST)


def _snappy_blocks(packed: bytes) -> Iterator[bytes]:
    at, room = _XERIAL_HEADER, LARGEST
    while at < len(packed):
        (length,) = struct.unpack_from(">i", packed, at)
        block = _raw_snappy(bytes(_piece(memoryview(packed), at + 4, length)), room)
        room -= len(block)
        yield block
        at += 4 + length


def _raw_snappy(packed: bytes, room: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(packed) > room:
        raise _Broken(f"it is larger than {LARGEST >> 20} MiB")
    return bytes(cramjam.snappy.decompress_raw(packed))


_CODECS: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    1: _gzip,
    2: _snappy,
    3: _within(cramjam.lz4.decompress_into),
    4: _within(cramjam.zstd.decompress_into),
}
