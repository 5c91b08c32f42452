"""`check --connect` asks the brokers for the topics, and joins no group."""

from bridge.cli.connections import tried
from bridge.config import read
from tests.kafka.broker import free_ports
from tests.kafka.orders import create_topic


async def test_a_topic_that_is_there_is_named(cluster, topic, config_for, environ, capsys):
    await create_topic(cluster.bootstrap, topic)
    assert await tried(read(config_for(cluster.bootstrap, topic), environ=environ))
    assert f"has {topic}" in capsys.readouterr().out


async def test_a_topic_that_is_missing_is_named(cluster, topic, config_for, environ, capsys):
    assert not await tried(read(config_for(cluster.bootstrap, topic), environ=environ))
    assert f"does not have, or does not show us, {topic}\n    -> make the topic" in capsys.readouterr().out


async def test_brokers_that_are_not_there_are_named(topic, config_for, environ, capsys):
    (port,) = free_ports(1)
    assert not await tried(read(config_for([f"127.0.0.1:{port}"], topic), environ=environ))
    assert "-> look at `brokers`, `tls` and `sasl`" in capsys.readouterr().out
