"""Who we are to a broker, and what is said where it does not want us. One broker with every kind of door."""

import asyncio
import json
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner

from bridge import service
from bridge.cli import command
from bridge.config import read
from bridge.contract import Sasl, Subscription, Tls
from bridge.errors import StreamError
from bridge.intake import kafka
from bridge.intake.kafka import WrongSecurity, opened
from bridge.setting_types import Secret
from tests import certificates
from tests.kafka import broker

MORE = """
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
{logins}
listener.name.sasls.ssl.keystore.type=PEM
listener.name.sasls.ssl.keystore.location={folder}/broker.pem
listener.name.mutual.ssl.keystore.type=PEM
listener.name.mutual.ssl.keystore.location={folder}/broker.pem
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={folder}/ca.pem
listener.name.mutual.ssl.client.auth=required
"""
_MODULE = "org.apache.kafka.common.security"
PLAIN = f'{_MODULE}.plain.PlainLoginModule required user_alice="alice-pw";'
SCRAM = f"{_MODULE}.scram.ScramLoginModule required;"
USERS = [
    *("--add-scram", "SCRAM-SHA-256=[name=bob,password=bob-pw]"),
    *("--add-scram", "SCRAM-SHA-512=[name=carol,password=carol-pw]"),
]


@pytest.fixture(scope="module")
def doors(had, tmp_path_factory):
    """The ports by listener, and the folder with the certificates."""
    folder = tmp_path_factory.mktemp("certificates")
    certificates.make(folder, "broker", "client")
    logins = "\n".join(
        f"listener.name.{name}.{mechanism}.sasl.jaas.config={module}"
        for name in ("saslp", "sasls")
        for mechanism, module in (("plain", PLAIN), ("scram-sha-256", SCRAM), ("scram-sha-512", SCRAM))
    )
    protocols = "SASLP:SASL_PLAINTEXT,SASLS:SASL_SSL,MUTUAL:SSL"
    running = broker.running(
        more=MORE.format(logins=logins, folder=folder)
        + f"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{protocols}\n",
        extra=("SASLP", "SASLS", "MUTUAL"),
        scram=USERS,
    )
    cluster = had(running.__enter__)
    yield {**cluster.listeners, "PLAINTEXT": cluster.broker.port}, folder
    running.__exit__(None, None, None)


class Nobody:
    async def let_go(self): ...
    async def taken(self, places): ...


async def _open(port, *, tls=None, sasl=None):
    """Asks something, so that it is not only the first connection that works."""
    subscription = Subscription(brokers=(f"127.0.0.1:{port}",), group="g", topics=("nothing",), tls=tls, sasl=sasl)
    async with opened(subscription, "here", Nobody()) as consumer:
        return await consumer.missing(["nothing"])


def _login(mechanism, name, password):
    return Sasl(mechanism=mechanism, username=name, password=Secret(password))


ALICE = _login("PLAIN", "alice", "alice-pw")


@pytest.mark.parametrize("listener", ["SASLP", "SASLS"])
@pytest.mark.parametrize(
    "sasl", [ALICE, _login("SCRAM-SHA-256", "bob", "bob-pw"), _login("SCRAM-SHA-512", "carol", "carol-pw")],
    ids=["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
)  # fmt: skip
async def test_every_way_to_log_in(doors, listener, sasl):
    ports, folder = doors
    tls = Tls(ca=folder / "ca.pem") if listener == "SASLS" else None
    assert ["nothing"] == await _open(ports[listener], tls=tls, sasl=sasl)


async def test_a_certificate_of_ours_lets_us_in(doors):
    ports, folder = doors
    tls = Tls(ca=folder / "ca.pem", certificate=folder / "client.crt", key=folder / "client.key")
    assert ["nothing"] == await _open(ports["MUTUAL"], tls=tls)


@pytest.mark.parametrize(
    ("listener", "security", "said"),
    [
        ("SASLP", {"sasl": _login("PLAIN", "alice", "wrong")}, "it refuses the user name or the password"),
        ("SASLP", {"sasl": _login("SCRAM-SHA-256", "bob", "wrong")}, "it refuses the user name or the password"),
        ("SASLS", {"sasl": ALICE, "tls": Tls()}, "its certificate is not trusted"),
        ("SASLP", {}, "are `tls:` and `sasl:` as this port wants them?"),
        ("PLAINTEXT", {"tls": Tls()}, "`tls:`"),
    ],
    ids=["wrong password", "wrong password, SCRAM", "unknown authority", "no login", "TLS to a plain port"],
)
async def test_what_is_wrong_is_told_apart(doors, listener, security, said):
    ports, _ = doors
    with pytest.raises(StreamError) as problem:
        await _open(ports[listener], **security)
    assert f"127.0.0.1:{ports[listener]}: " in str(problem.value)
    assert said in str(problem.value)
    assert "wrong" not in str(problem.value)


async def test_nobody_there_and_no_such_host_are_told_apart(unused_tcp_port):
    with pytest.raises(StreamError, match="nobody listens there"):
        await _open(unused_tcp_port)
    subscription = Subscription(brokers=("no-such-host.invalid:9092",), group="g", topics=("nothing",))
    with pytest.raises(StreamError, match="name is not known"):
        async with opened(subscription, "here", Nobody()):
            pass


async def test_a_certificate_that_is_not_there_is_said_with_its_file(tmp_path):
    subscription = Subscription(brokers=("127.0.0.1:1",), group="g", tls=Tls(ca=tmp_path / "none.pem"))
    with pytest.raises(WrongSecurity, match=r"none\.pem"):
        kafka.options(subscription)


async def test_a_bridge_with_a_certificate_that_is_not_there_does_not_start(running, config_for, environ, topic):
    text = config_for(["127.0.0.1:1"], topic, source="tls: {ca: /no/such.pem}")
    with pytest.raises(WrongSecurity, match=r"tls: cannot be used: No such file or directory \(of /no/such\.pem\)"):
        await service.serve(read(text, environ=environ), service.Shutdown())


def test_check_says_what_is_read(config_for, topic, tmp_path, environ):
    (tmp_path / "bridge.yaml").write_text(config_for(["127.0.0.1:1"], topic, group="g"))
    told = CliRunner(env=environ).invoke(command, ["check", "--config", str(tmp_path / "bridge.yaml")])
    assert f"source erp  reads {topic} as group g" in told.output


async def test_a_wrong_password_is_tried_again_with_patience_and_not_hot(doors, topic, process):
    ports, _ = doors
    source = "sasl: {mechanism: PLAIN, username: alice, password: env:HELLOTEXT_TOKEN}"
    bridge = await process([f"127.0.0.1:{ports['SASLP']}"], topic, source=source)
    lines = []
    async with asyncio.timeout(60):
        while len(lines) < 3:
            await asyncio.sleep(0.1)
            lines = [line for line in bridge.log.read_text().splitlines() if "stream.disconnected" in line]
    assert "it refuses the user name or the password" in lines[0]
    times = [datetime.fromisoformat(json.loads(line)["at"]) for line in lines]
    assert times[2] - times[0] > timedelta(seconds=1)
    assert 0 == await bridge.end()
