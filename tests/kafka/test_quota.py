"""A broker that slows us down by a quota is heeded: who is made to wait is no member that has failed."""

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from bridge import telemetry
from bridge.intake import kafka, stream
from tests.kafka.orders import an_order, create_topic, produce

_ENTITY = Array(("type", String("utf-8")), ("name", String("utf-8")))


class _Altered(Response):
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), ("entity", _ENTITY))),
    )


class _AlterQuotas(RequestStruct):
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _Altered
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", _ENTITY),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Alter(Request[_AlterQuotas]):
    """What kafka-configs sends for `--entity-type clients --alter --add-config consumer_byte_rate=...`."""

    API_KEY = 49

    def __init__(self, name, rate):
        self._entry = ([("client-id", name)], [("consumer_byte_rate", rate, False)])

    def build(self, request_struct_class):
        return request_struct_class([self._entry], False)  # noqa: FBT003


async def _slow_down(bootstrap, name, rate):
    client = AIOKafkaClient(bootstrap_servers=list(bootstrap))
    await client.bootstrap()
    try:
        answer = await client.send(client.get_random_node(), _Alter(name, rate))
        assert [0] == [entry[0] for entry in answer.entries]
    finally:
        await client.close()


def _said(log, event):
    return [line for line in log() if line["event"] == event]


async def test_a_member_that_is_slowed_down_by_a_quota_waits_and_stays(
    cluster, topic, reading, delivered, log, monkeypatch
):
    monkeypatch.setattr(kafka, "DEADLINE", 2.0)
    monkeypatch.setattr(stream, "_LOOK", 0.5)
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await _slow_down(cluster.bootstrap, topic, 30_000.0)
    made = {f"LARGE-{number}": an_order(f"LARGE-{number}", note="x" * 60_000) for number in range(10)}
    await produce(cluster.bootstrap, topic, made.items())
    async with reading(cluster.bootstrap, topic, client=f", client_id: {topic}"):
        assert {1} == set((await delivered(made)).values())
        async with asyncio.timeout(60):
            while not _said(log, "stream.throttled") and not _said(log, "stream.disconnected"):
                await asyncio.sleep(0.1)
        await produce(cluster.bootstrap, topic, [("LAST", an_order("LAST"))])
        assert {"LAST": 1} == await delivered(["LAST"])
        assert [] == _said(log, "stream.disconnected")
        assert 1 == len(_said(log, "stream.assigned"))
        assert 1 == telemetry.REGISTRY.get_sample_value("bridge_stream_up", {"source": "erp"})
    (told, *_) = _said(log, "stream.throttled")
    assert told["seconds"] > 2
