"""The guards around aiokafka, each for itself: without one of these lines a test here is red."""

import asyncio
import inspect
import io
import logging
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError

from bridge import telemetry
from bridge.errors import StreamError
from bridge.intake import kafka
from bridge.intake.partition import Partition, Place, Portion
from connectors.kafka import CLIENT


def test_every_option_that_may_be_set_is_one_that_the_client_has():
    known = set(inspect.signature(AIOKafkaConsumer.__init__).parameters)
    assert set() == set(CLIENT) - known


async def test_a_call_that_hangs_ends_with_what_it_was_doing(monkeypatch):
    monkeypatch.setattr(kafka, "DEADLINE", 0.05)
    with pytest.raises(StreamError, match="committing: no answer from the brokers in 0 s"):
        await kafka._within(asyncio.Event().wait(), "committing")


class _Client:
    """Stops as aiokafka's consumer does in an outage."""

    def __init__(self, stop):
        self._stop = stop
        self.closed = False
        self._client = self

    async def stop(self):
        await self._stop()

    async def close(self):
        self.closed = True


async def _stray():
    raise asyncio.CancelledError


async def _hangs():
    await asyncio.Event().wait()


async def _fails():
    raise KafkaConnectionError


@pytest.mark.parametrize("stop", [_stray, _hangs, _fails], ids=["stray cancellation", "hangs", "fails"])
async def test_stopping_ends_and_closes_whatever_the_client_does(stop, monkeypatch):
    monkeypatch.setattr(kafka, "_STOPPING", 0.1)
    client = _Client(stop)
    await asyncio.wait_for(kafka._stopped(client), 10)
    assert client.closed


async def test_a_cancellation_that_was_meant_is_not_swallowed(monkeypatch):
    monkeypatch.setattr(kafka, "_STOPPING", 5)
    stopping = asyncio.create_task(kafka._stopped(_Client(_hangs)))
    await asyncio.sleep(0.05)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(stopping, 20)


def test_a_storm_of_log_lines_becomes_one_line():
    stream = io.TextIOWrapper(io.BytesIO())
    telemetry.set_up(stream=stream, style="json")
    kafka._notes._last.clear()
    try:
        for number in range(1000):
            logging.getLogger("aiokafka.conn").error("cannot reach node %s", number)
        stream.flush()
        assert 1 == stream.buffer.getvalue().count(b"cannot reach node")
    finally:
        telemetry.set_up(level="warning", style="text")


@pytest.mark.parametrize(
    ("template", "arguments", "said"),
    [
        (
            "Error sending %s to node %s [%s] -- marking coordinator dead",
            ("HeartbeatRequest", 1, RequestTimedOutError()),
            "Error sending HeartbeatRequest to node 1 [[Error 7] RequestTimedOutError] -- marking coordinator dead",
        ),
        ("Failed fetch messages from %s: %s", (3, ValueError("a value")), "Failed fetch messages from 3: ValueError"),
        (
            "Unable to request metadata from node with id %s: %r",
            (2, ConnectionRefusedError(111, "refused")),
            (
                "Unable to request metadata from node with id 2: "
                "'nobody listens there: is the broker up, and is the port right?'"
            ),
        ),
        ("FetchRequest v%d of %r", (11, "rack-1"), "FetchRequest v11 of 'rack-1'"),
        ("Heartbeat session expired", (), "Heartbeat session expired"),
    ],
)
def test_what_the_client_logs_has_its_arguments(template, arguments, said, log):
    kafka._notes._last.clear()
    logging.getLogger("aiokafka.consumer").error(template, *arguments)
    (line,) = log()
    assert ("error", "aiokafka.consumer", said[:200]) == (line["level"], line["logger"], line["message"])


def _offsets(partition):
    return [record.offset for record in partition.waiting]


def test_what_was_read_ahead_of_a_seek_is_not_taken(record_at):
    partition = Partition(Place("t", 0))
    partition.add(Portion([record_at(5)], 6))
    assert [] == _offsets(partition)
    partition.begin(3, None)
    partition.add(Portion([record_at(offset) for offset in (1, 2, 3, 4)], 5))
    assert [3, 4] == _offsets(partition)
    partition.add(Portion([record_at(offset) for offset in (4, 5)], 6))
    assert [3, 4, 5] == _offsets(partition)


def test_offsets_that_hold_no_record_are_passed_when_all_before_them_is_stored(record_at):
    partition = Partition(Place("t", 0))
    partition.begin(0, None)
    partition.add(Portion([], 2))
    assert 2 == partition.position
    partition.add(Portion([record_at(2), record_at(5)], 8))
    assert 2 == partition.position
    first = partition.waiting.popleft()
    partition.stored([first])
    assert 3 == partition.position
    partition.stored([partition.waiting.popleft()])
    assert 8 == partition.position


async def test_offsets_that_hold_no_record_are_not_passed_while_a_record_before_them_is_on_its_way(record_at):
    partition = Partition(Place("t", 0))
    partition.begin(0, None)
    partition.add(Portion([record_at(0)], 1))
    wave = [partition.waiting.popleft()]
    partition.storing = asyncio.ensure_future(asyncio.sleep(0))
    partition.add(Portion([], 9))
    assert 0 == partition.position
    partition.stored(wave)
    assert 9 == partition.position
    await partition.storing


def test_what_was_forgotten_on_leaving_is_not_passed(record_at):
    partition = Partition(Place("t", 0))
    partition.begin(0, None)
    partition.add(Portion([record_at(0), record_at(1)], 5))
    wave = [partition.waiting.popleft()]
    partition.leave()
    partition.stored(wave)
    assert 1 == partition.position
    assert (0, 0) == (partition.records, partition.bytes)


def test_all_that_a_record_takes_is_counted(record_at):
    partition = Partition(Place("t", 0))
    partition.begin(0, None)
    bare = replace(record_at(0), value=None)
    rich = replace(record_at(1), key=b"k" * 5000, value=b"v" * 7000, headers=[("name", b"h" * 3000)] * 10)
    partition.add(Portion([bare], 1))
    assert partition.bytes > 500
    partition.add(Portion([rich], 2))
    assert partition.bytes > 42_500
    partition.stored([partition.waiting.popleft(), partition.waiting.popleft()])
    assert (0, 0) == (partition.records, partition.bytes)


def test_nothing_is_said_of_a_partition_that_was_lost(record_at):
    partition = Partition(Place("t", 0))
    partition.begin(0, None)
    partition.close()
    partition.stored([record_at(9)])
    assert 0 == partition.position
    assert not partition.is_uncommitted
