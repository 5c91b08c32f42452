"""What a fetched answer may hold, read by the client's own code through our batches."""

import gzip
import struct

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from bridge.intake import record_batches
from bridge.intake.record_batches import LARGEST, NOWHERE, Batches, Fault

PLACE = TopicPartition("t", 0)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def a_batch(*values, first=0, codec=0, producer=-1, headers=(("name", b"x"),)):
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=producer >= 0, producer_id=producer, producer_epoch=0,
        base_sequence=0, batch_size=1 << 24,
    )  # fmt: skip
    for number, value in enumerate(values):
        builder.append(number, timestamp=1000 + number, key=b"key", value=value, headers=list(headers))
    return struct.pack(">q", first) + bytes(builder.build())[8:]


def sealed(batch):
    """With the length and the checksum that its bytes ask for."""
    batch = batch[:8] + struct.pack(">i", len(batch) - 12) + batch[12:]
    return batch[:17] + struct.pack(">I", calc_crc32c(batch[21:])) + batch[21:]


def replaced(batch, old, new):
    assert batch.count(old) >= 1
    return sealed(batch.replace(old, new, 1))


def packed(batch, codec, payload):
    """The batch with other content, packed already."""
    attributes = bytes([batch[21], (batch[22] & ~7) | codec])
    return sealed(batch[:21] + attributes + batch[23:61] + payload)


def read(data, *, at=0, aborted=()):
    """As the client does it: the records, and where it would go on."""
    records = PartitionRecords(
        tp=PLACE, records=Batches(data), aborted_transactions=list(aborted), fetch_offset=at, key_deserializer=None,
        value_deserializer=None, check_crcs=True, isolation_level=READ_COMMITTED,
    )  # fmt: skip
    return list(records), records.next_fetch_offset


def told(records):
    return [(record.offset, record.value if record.checksum is None else record.checksum.reason) for record in records]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_good_batches_are_read_whole(codec):
    records, upto = read(a_batch(b"a", b"b", codec=codec) + a_batch(b"c", first=5, codec=codec))
    assert [(0, b"a"), (1, b"b"), (5, b"c")] == told(records)
    assert ((("name", b"x"),), 1000, b"key") == (records[0].headers, records[0].timestamp, records[0].key)
    assert 6 == upto


def test_a_header_whose_name_is_no_utf_8_is_read_as_other_clients_read_it():
    batch = a_batch(b"good", b"bad", b"good too")
    at = [index for index in range(len(batch)) if batch.startswith(b"name", index)][1]
    records, upto = read(sealed(batch[:at] + b"n\xffme" + batch[at + 4 :]))
    assert [(0, b"good"), (1, b"bad"), (2, b"good too")] == told(records)
    assert (("n\ufffdme", b"x"),) == records[1].headers
    assert (1001, b"key") == (records[1].timestamp, records[1].key)
    assert 3 == upto


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x06key\x06bad", b"\xc8\x01ey\x06bad"),
        (b"\x06bad\x02\x08name", b"\x06bad\x7f\x08name"),
        (b"\x06bad\x02\x08name", b"\x06bad\x00\x08name"),
        (b"\x06bad\x02\x08name", b"\x06bad\x04\x08name"),
    ],
    ids=["key longer than the record", "headers below zero", "bytes behind the last part", "headers that are missing"],
)
def test_a_record_that_is_broken_is_one_record_with_all_its_bytes(old, new):
    records, upto = read(replaced(a_batch(b"good", b"bad", b"good too"), old, new))
    assert [0, 1, 2] == [record.offset for record in records]
    assert [b"good", b"good too"] == [records[0].value, records[2].value]
    assert records[1].checksum.reason.startswith("the record is broken: ")
    assert (1, False) == (records[1].checksum.first, records[1].checksum.whole)
    assert new[-6:] in records[1].value
    assert 3 == upto


def test_a_record_that_is_longer_than_its_batch_ends_the_answer_at_its_place():
    bad = a_batch(b"good", b"bad")
    at = bad.rindex(b"key") - 5
    records, _ = read(sealed(bad[:at] + b"\x7e" + bad[at + 1 :]) + a_batch(b"next", first=2))
    assert (0, b"good") == told(records)[0]
    assert [(NOWHERE, 1, True)] == [(each.offset, each.checksum.first, each.checksum.whole) for each in records[1:]]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda batch: batch[:-1] + b"!", "its checksum is wrong: it was damaged on a disk or on the way"),
        (lambda batch: batch[:16] + b"\x07" + batch[17:], "format 7 is not known"),
        (lambda batch: sealed(batch[:22] + b"\x06" + batch[23:]), "compression 6 is not known"),
        (lambda batch: packed(batch, 4, b"no zstd"), "it cannot be unpacked, or not into 64 MiB (DecompressionError)"),
        (lambda batch: packed(batch, 1, b"no gzip"), "it cannot be unpacked, or not into 64 MiB (error)"),
        (lambda batch: struct.pack(">qi", 3, 4) + batch[12:16], "not a batch of records (error)"),
        (lambda batch: struct.pack(">qi", 3, -4) + batch[12:], "not a batch of records (error)"),
    ],
    ids=["checksum", "format", "compression", "zstd", "gzip", "short", "below zero"],
)  # fmt: skip
def test_a_batch_that_cannot_be_read_is_one_fault_and_what_was_before_it_is_kept(spoil, reason):
    records, _ = read(a_batch(b"a", b"b", b"c") + spoil(a_batch(b"d", first=3)) + a_batch(b"e", first=4))
    assert [(0, b"a"), (1, b"b"), (2, b"c"), (NOWHERE, records[-1].checksum.reason)] == told(records)
    assert 3 == records[-1].checksum.first
    assert records[-1].checksum.whole
    assert reason.rpartition(" (")[0] or reason in records[-1].checksum.reason


def test_what_is_asked_for_in_the_middle_of_a_batch_that_cannot_be_read_is_not_stepped_over():
    records, upto = read(a_batch(b"a", b"b", b"c")[:-1] + b"!", at=2)
    assert [(NOWHERE, True)] == [(record.offset, record.checksum.whole) for record in records]
    assert upto > NOWHERE


@pytest.mark.parametrize(
    ("codec", "pack"),
    [
        (1, gzip.compress),
        (2, lambda data: bytes(cramjam.snappy.compress_raw(data))),
        (3, lambda data: bytes(cramjam.lz4.compress(data))),
        (4, lambda data: bytes(cramjam.zstd.compress(data))),
    ],
    ids=["gzip", "snappy", "lz4", "zstd"],
)
def test_a_batch_that_would_fill_the_memory_is_not_unpacked(codec, pack, monkeypatch):
    monkeypatch.setattr(record_batches, "LARGEST", 1 << 20)
    records, _ = read(packed(a_batch(b"a"), codec, pack(b"\0" * ((1 << 20) + 1))))
    assert ["1 MiB" in record.checksum.reason for record in records] == [True]
    assert LARGEST == 64 << 20


def test_gzip_in_several_streams_and_snappy_without_blocks_are_read():
    whole = a_batch(b"a", b"b")
    assert [(0, b"a"), (1, b"b")] == told(
        read(packed(whole, 1, gzip.compress(whole[61:70]) + gzip.compress(whole[70:])))[0]
    )
    assert [(0, b"a"), (1, b"b")] == told(read(packed(whole, 2, bytes(cramjam.snappy.compress_raw(whole[61:]))))[0])


def test_batches_of_an_aborted_transaction_are_stepped_over():
    data = a_batch(b"undone", first=0, producer=7) + a_batch(b"kept", first=1, producer=8)
    records, upto = read(data, aborted=[(7, 0)])
    assert [(1, b"kept")] == told(records)
    assert 2 == upto


def test_an_answer_without_a_whole_batch_is_an_empty_one():
    cut = Batches(a_batch(b"a")[:-5])
    assert (False, 0) == (cut.has_next(), cut.size_in_bytes())
    assert (False, 0) == (Batches(b"").has_next(), Batches(b"").size_in_bytes())


def test_a_fault_tells_where_it_begins():
    assert Fault("why", 4) == Fault(reason="why", first=4, whole=False)
