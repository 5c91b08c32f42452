"""Events are counted and logged together at the end of a turn; what is wrong with one of them hurts no other."""

import asyncio
import io
import json
import threading

import pytest

from bridge import telemetry


@pytest.fixture
def log():
    """The events that were written so far."""
    stream = io.TextIOWrapper(io.BytesIO())
    telemetry.set_up(stream=stream, style="json")
    yield lambda: [json.loads(line) for line in stream.buffer.getvalue().splitlines()]
    telemetry.set_up(level="warning", style="text")


def _count(name, **labels):
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0


def _skipped(reason):
    telemetry.emit("document.skipped", dest="tests", reason=reason)


def _skips():
    return sum(_count("bridge_skipped_documents_total", dest="tests", reason=reason) for reason in ("a", "b"))


async def test_events_of_a_turn_are_written_and_counted_at_its_end_in_their_order(log):
    before = _skips()
    for reason in ("a", "b", "a"):
        _skipped(reason)
    assert [] == log()
    await asyncio.sleep(0)
    assert ["a", "b", "a"] == [line["reason"] for line in log()]
    assert 3 == _skips() - before


def test_outside_of_a_loop_and_in_other_threads_at_once(log):
    _skipped("a")
    thread = threading.Thread(target=_skipped, args=("b",))
    thread.start()
    thread.join()
    assert ["a", "b"] == [line["reason"] for line in log()]


async def test_a_name_that_is_not_on_the_list_is_a_bug():
    with pytest.raises(KeyError):
        telemetry.emit("no.such.event")


class _Unwritable:
    """Nothing can be made of it."""

    def __str__(self) -> str:
        raise ZeroDivisionError


async def test_an_event_that_cannot_be_written_takes_no_other_with_it(log):
    before, lost = _skips(), _count("bridge_lost_log_lines_total")
    _skipped("a")
    telemetry.emit("journal.pruned", what=_Unwritable())
    _skipped("b")
    await asyncio.sleep(0)
    assert ["a", "b"] == [line["reason"] for line in log()]
    assert (2, 1) == (_skips() - before, _count("bridge_lost_log_lines_total") - lost)


class _Full(io.RawIOBase):
    """A stream on a full disk."""

    def writable(self) -> bool:
        return True

    def write(self, _data) -> int:
        raise OSError(28, "No space left on device")


async def test_a_log_that_cannot_be_written_stops_nothing_and_is_counted():
    stream = io.TextIOWrapper(io.BufferedWriter(_Full()))
    telemetry.set_up(stream=stream, style="json")
    try:
        before, lost = _skips(), _count("bridge_lost_log_lines_total")
        _skipped("a")
        await asyncio.sleep(0)
        await asyncio.to_thread(_skipped, "b")
        assert 2 == _skips() - before
        assert lost < _count("bridge_lost_log_lines_total")
    finally:
        telemetry.set_up(level="warning", style="text")
        with pytest.raises(OSError, match="No space"):
            stream.close()


@pytest.fixture
def as_text():
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True, encoding="utf-8")
    telemetry.set_up(stream=stream, style="text")
    yield lambda: stream.buffer.getvalue().decode().splitlines()
    telemetry.set_up(level="warning", style="text")


def test_a_line_for_people_says_first_what_they_look_for(as_text):
    of_machines = {"tenant": "a.example", "topic": "orders/create", "id": "7-8-9", "seq": 1, "once": "[]", "attempt": 1}
    telemetry.emit("fact.settled", **of_machines, source="shop", lane="6042", dest="hellotext", rule="placed",
                   fact="order.placed", state="dead", reason="refused", detail="POST events: 422")  # fmt: skip
    (line,) = as_text()
    said = "warning fact.settled            order.placed  dead  lane=6042  dest=hellotext  rule=placed  source=shop"
    assert said in line[9:]
    assert len(line) <= 120
    assert "a.example" not in line


def test_a_line_for_people_fits_and_acts_on_no_terminal(as_text):
    telemetry.emit("delivery.refused", source="shop", detail="\x1b[31m" + "long " * 100)
    telemetry.emit("connector.failed", source="shop", problem="KeyError", frames=["a.py:1 outer", "b.py:2 inner"])
    long, short = as_text()
    assert 120 == len(long)
    assert long.endswith("…")
    assert long.isprintable()
    assert "frames=b.py:2 inner < a.py:1 outer" in short
