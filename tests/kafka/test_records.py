"""Orders from a real topic, all the way to the API."""

from bridge import telemetry
from tests.kafka.orders import create_topic, orders, produce


def _count(name, **labels):
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0


async def test_orders_of_a_topic_arrive_once_each_and_positions_are_committed(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic)
    made = orders("SO", 200)
    await produce(cluster.bootstrap, topic, made.items())
    async with reading(cluster.bootstrap, topic):
        assert {1} == set((await delivered(made)).values())
    more = orders("MORE", 20)
    await produce(cluster.bootstrap, topic, more.items())
    before = _count("bridge_records_total", source="erp", topic=topic, result="known")
    async with reading(cluster.bootstrap, topic):
        assert {1} == set((await delivered([*made, *more])).values())
    assert before == _count("bridge_records_total", source="erp", topic=topic, result="known")
