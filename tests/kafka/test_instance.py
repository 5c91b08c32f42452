"""Static membership: a name that two members have is that of the one who came last; the other waits, and says so."""

import asyncio
import signal

from bridge import telemetry
from bridge.intake import stream
from tests.kafka.orders import create_topic, orders, produce

INSTANCE = "instance: same"


def _said(log, event):
    return [line for line in log() if line["event"] == event]


async def _streams(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        (told,) = (await answer.json())["streams"]
    return told


def _is_reading(bridge):
    async def reading():
        partitions = (await _streams(bridge))["partitions"]
        return bool(partitions) and all(each["position"] is not None for each in partitions)

    return reading


def _is_fenced(bridge):
    async def fenced():
        told = await _streams(bridge)
        return "another member has this `instance` (same, at 127.0.0.1)" in told["state"] and not told["partitions"]

    return fenced


async def test_who_lost_the_instance_stops_says_so_and_comes_back_when_the_other_is_gone(
    cluster, topic, reading, process, delivered, log, monkeypatch
):
    monkeypatch.setattr(stream, "_LONGEST_WAIT", 0.5)
    await create_topic(cluster.bootstrap, topic)
    first, second, third = orders("FIRST", 10), orders("SECOND", 50), orders("THIRD", 10)
    before = telemetry.REGISTRY.get_sample_value("bridge_stream_fencings_total", {"source": "erp"}) or 0
    async with reading(cluster.bootstrap, topic, source=INSTANCE) as bridge:
        await produce(cluster.bootstrap, topic, first.items())
        assert {1} == set((await delivered(first)).values())
        other = await process(cluster.bootstrap, topic, name="other", source=INSTANCE)
        await bridge.until(_is_fenced(bridge), seconds=60)
        await produce(cluster.bootstrap, topic, second.items())
        assert {1} == set((await delivered(second)).values())
        (told,) = _said(log, "stream.fenced")
        assert ("error", f"group-of-{topic}") == (told["level"], told["group"])
        assert "env:HOSTNAME" in told["detail"]
        assert before + 1 == telemetry.REGISTRY.get_sample_value("bridge_stream_fencings_total", {"source": "erp"})
        assert 0 == telemetry.REGISTRY.get_sample_value("bridge_stream_up", {"source": "erp"})
        assert 1 == other.log.read_text().count('"event":"stream.assigned"'), "nobody takes it back"
        assert "stream.fenced" not in other.log.read_text()
        await other.end(signal.SIGKILL)
        await produce(cluster.bootstrap, topic, third.items())
        assert {1} == set((await delivered(third)).values())
        await bridge.until(_is_reading(bridge), seconds=60)
        assert "reading" == (await _streams(bridge))["state"]
        assert 1 == len(_said(log, "stream.fenced"))


async def test_a_restart_under_the_same_instance_is_nobody_else(cluster, topic, reading, delivered, log):
    await create_topic(cluster.bootstrap, topic)
    for prefix in ("ONE", "TWO"):
        made = orders(prefix, 5)
        await produce(cluster.bootstrap, topic, made.items())
        async with reading(cluster.bootstrap, topic, source=INSTANCE):
            assert {1} == set((await delivered(made)).values())
    assert [] == _said(log, "stream.fenced")


async def test_who_was_away_past_the_session_comes_back_under_its_instance(cluster, topic, process, delivered):
    await create_topic(cluster.bootstrap, topic)
    bridge = await process(cluster.bootstrap, topic, source=INSTANCE)
    await bridge.said('"event":"stream.assigned"')
    bridge.send(signal.SIGSTOP)
    await asyncio.sleep(9)
    bridge.send(signal.SIGCONT)
    made = orders("SO", 5)
    await produce(cluster.bootstrap, topic, made.items())
    assert {1} == set((await delivered(made)).values())
    assert "stream.fenced" not in bridge.log.read_text()
