"""Ratios against bare programs measured in the same run, in turn, each on one core; load and sink on the other.

Usage: python -m tests.bench [mapping intake chain aiohttp flat idle kafka postgres] [--rounds N] [--count N] [--rows N]
"""

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from bridge.journal import postgres
from tests.bench import journals, mapping, streams
from tests.bench.filled import filled
from tests.bench.programs import CORES, Program, free_port, get, load, running
from tests.postgres import PostgresServer, new_place, open_folder

CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "http://127.0.0.1:{sink}"}}
journal: {journal}
door: {{host: 127.0.0.1, port: {port}, fast: {fast}}}
delivery: {{fast: {fast}}}
private: {{port: {private}}}
logs: {{style: json}}
"""
KNOWN = """
rules:
  placed:
    for: order
    at: = order.created_at
    max_age: 3650d
    give:
      action: order.placed
      profile: P1
      object_parameters:
        reference: = text(order.id)
        source: shopify
        name?: = order.name
        delivery: deliver
        items:
          each: = order.line_items
          as: item
          when: = item.quantity > 0
          give:
            product: {reference: "= text(default(item.variant_id, item.id))", source: shopify, name: = item.name}
            quantity: = item.quantity
            price: {amount: = item.price, currency: = order.currency}
      amount: = order.total_price
      currency: = order.currency
"""
DEFAULT = """
include: [shopify/default]
rules: {placed: {max_age: 3650d}, confirmed: false, cancelled: false}
"""
ENVIRON = {"SHOPIFY_SECRET": "bench", "HELLOTEXT_TOKEN": "bench"}
PATH = "/webhooks/shop"
_DRAINING = 10.0
_CORES_OF_REPLICAS = 4


class Bench:
    """One run: how much, and the lines that it has to tell."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.rounds: int = asked.rounds
        self.count: int = asked.count
        self.rows: int = asked.rows
        self.folder = Path(tempfile.mkdtemp(prefix="bench-", dir=_cache()))

    def tell(self, what: str, values: list[float], *, unit: str = "", goal: str = "") -> None:
        middle, low, high = statistics.median(values), min(values), max(values)
        sys.stdout.write(f"  {what:<58}{middle:>10.2f} {unit:<8}({low:.2f} to {high:.2f})  {goal}\n")
        sys.stdout.flush()

    @contextmanager
    def bridge(
        self,
        rules: str,
        *,
        sink: int = 1,
        journal: Path | None = None,
        place: postgres.Place | None = None,
        core: int = 0,
        fast: bool = True,
    ) -> Iterator[tuple[Program, int]]:
        """The program under test, and its private port. Its journal is a file, or is in Postgres.

        fast: on the inside of aiohttp, or else on its public interface.
        """
        port, private = free_port(), free_port()
        kept = f'{{path: "{journal or self.folder / f"{port}.db"}", min_free: 0, ballast: 0, keep: {{keys: 4000d}}}}'
        if place is not None:
            kept = f"{{kind: postgres, url: env:DATABASE, schema: {place.schema}, keep: {{keys: 4000d}}}}"
        config = self.folder / f"{port}.yaml"
        config.write_text(
            CONFIG.format(sink=sink, journal=kept, port=port, private=private, fast=json.dumps(fast)) + rules
        )
        arguments = ["-m", "bridge", "run", "--config", str(config)]
        environ = ENVIRON | ({"DATABASE": place.dsn} if place is not None else {})
        with running(arguments, port=port, core=core, environ=environ) as program:
            yield program, private

    @contextmanager
    def floor(self, kind: str, target: str) -> Iterator[Program]:
        port = free_port()
        with running(["-m", "tests.bench.floors", kind, str(port), target], port=port, core=0) as program:
            yield program

    @contextmanager
    def sink(self, *, milliseconds: int = 0) -> Iterator[int]:
        port = free_port()
        with running(["-m", "tests.bench.sink", str(port), str(milliseconds)], port=port, core=-1):
            yield port

    def measured(self, program: Program, sink: int | None = None) -> dict[str, float]:
        """One round of load: rate (until the sink has an event of each order), processor time of an order, latencies.

        Only then is processor time read, and a moment later: what is still to be settled by then is settled.
        """
        cpu = program.cpu()
        wanted = (_events(sink) if sink is not None else 0) + self.count
        told = load(program.port, PATH, self.count)
        if sink is not None:
            while _events(sink) < wanted:
                time.sleep(0.005)
            told["rate"] = self.count / (time.monotonic() - told["started"])
        time.sleep(0.1)
        told["cpu"] = (program.cpu() - cpu) / self.count * 1e6
        return told

    def spread(self, ports: Sequence[int], sink: int) -> float:
        """Orders a second of a load that all these doors share, until the sink has an event of each."""
        share = self.count // len(ports)
        wanted = _events(sink) + share * len(ports)
        with ThreadPoolExecutor(len(ports)) as threads:
            began = time.monotonic()
            list(threads.map(lambda port: load(port, PATH, share), ports))
        while _events(sink) < wanted:
            time.sleep(0.005)
        return share * len(ports) / (time.monotonic() - began)


def _events(sink: int) -> int:
    return int(get(sink, "/count"))


def _cache() -> Path:
    folder = journals.ROOT / ".cache" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def intake(bench: Bench) -> None:
    """Verify, append with the work for a destination, 200; nobody listens at the destination, so nothing is sent."""
    sys.stdout.write("durable intake: verify, append with fsync, 200\n")
    with bench.floor("intake", str(bench.folder / "floor.db")) as floor, bench.bridge(KNOWN) as (program, _):
        load(program.port, PATH, 64)  # by then the destination is known to be down
        rounds = [(bench.measured(floor), bench.measured(program)) for _ in range(bench.rounds)]
    _tell_pairs(bench, rounds, goal="at least 0.80")
    p99 = [ours["p99"] / bare["p99"] for bare, ours in rounds]
    bench.tell("p99 of the bridge", [ours["p99"] for _, ours in rounds], unit="ms")
    bench.tell("p99: bridge / bare", p99, goal="at most 1.50")


def chain(bench: Bench) -> None:
    """Webhook in, mapped, posted, settled, beside a loop that stores nothing."""
    for name, rules, kind, path, goal in (
        ("one repeatable fact, profile known", KNOWN, "chain", "/events", "at least 0.70"),
        ("default rule, a new person each: profile, session, event, as the bare one sends", DEFAULT, "person", "", ""),
    ):
        sys.stdout.write(f"whole chain: {name}\n")
        with (
            bench.sink() as sink,
            bench.floor(kind, f"http://127.0.0.1:{sink}{path}") as floor,
            bench.bridge(rules, sink=sink) as (program, _),
        ):
            load(floor.port, PATH, 64)
            load(program.port, PATH, 64)
            rounds = [(bench.measured(floor, sink), bench.measured(program, sink)) for _ in range(bench.rounds)]
            _tell_pairs(bench, rounds, goal=goal)
            bench.tell("memory of the bridge", [program.memory()], unit="MiB", goal="under 150")


def both_ways(bench: Bench) -> None:
    """Intake and chain with the fast parts and with their twins on aiohttp's public interface, in turn."""
    for name, is_sent in (("durable intake", False), ("whole chain: one repeatable fact, profile known", True)):
        sys.stdout.write(f"{name}, on the inside of aiohttp and on its public interface\n")
        with bench.sink() as sink:
            target = sink if is_sent else 1
            counted = sink if is_sent else None
            with (
                bench.bridge(KNOWN, sink=target) as (fast, _),
                bench.bridge(KNOWN, sink=target, fast=False) as (plain, _),
            ):
                for program in (fast, plain):
                    load(program.port, PATH, 64)
                rounds = [(bench.measured(plain, counted), bench.measured(fast, counted)) for _ in range(bench.rounds)]
        for which, place in (("public interface", 0), ("inside", 1)):
            bench.tell(f"{which}, rate", [each[place]["rate"] for each in rounds], unit="/s")
            bench.tell(f"{which}, processor time", [each[place]["cpu"] for each in rounds], unit="us each")
        bench.tell("processor time: public / inside", [plain["cpu"] / fast["cpu"] for plain, fast in rounds])


def _tell_pairs(bench: Bench, rounds: list[tuple[dict[str, float], dict[str, float]]], *, goal: str) -> None:
    bench.tell("bare program", [bare["rate"] for bare, _ in rounds], unit="/s")
    bench.tell("bridge", [ours["rate"] for _, ours in rounds], unit="/s")
    bench.tell("rate: bridge / bare", [ours["rate"] / bare["rate"] for bare, ours in rounds], goal=goal)
    bench.tell("processor time of the bare program", [bare["cpu"] for bare, _ in rounds], unit="us each")
    bench.tell("processor time of the bridge", [ours["cpu"] for _, ours in rounds], unit="us each")
    # Of all ratios the one that a noisy neighbour disturbs least.
    bench.tell("processor time: bare / bridge", [bare["cpu"] / ours["cpu"] for bare, ours in rounds], goal=goal)


def flat(bench: Bench) -> None:
    """The cost of an order with an empty journal, a million waiting, a million settled."""
    sys.stdout.write(f"cost of an order by what the journal holds ({bench.rows} orders)\n")
    cpu: dict[str, list[float]] = {}
    written: dict[str, list[float]] = {}
    copies = {"empty": bench.folder / "empty.db"}
    for kind in ("waiting", "settled"):
        copies[kind] = bench.folder / f"{kind}.db"
        shutil.copy(journals.made(kind, bench.rows), copies[kind])
    for _ in range(bench.rounds):
        for kind, journal in copies.items():
            with bench.sink() as sink, bench.bridge(KNOWN, sink=sink, journal=journal) as (program, _):
                bench.measured(program, sink)  # warm
                before = program.written()
                told = bench.measured(program, sink)
                cpu.setdefault(kind, []).append(told["cpu"])
                written.setdefault(kind, []).append((program.written() - before) / bench.count)
    for kind in copies:
        bench.tell(f"processor time, {kind}", cpu[kind], unit="us")
        bench.tell(f"bytes written, {kind}", written[kind], unit="B")
    for kind in ("waiting", "settled"):
        for name, values in (("processor time", cpu), ("bytes written", written)):
            ratio = [full / empty for full, empty in zip(values[kind], values["empty"], strict=True)]
            bench.tell(f"{name}: {kind} / empty", ratio, goal="at most 1.10")
    _backlog(bench)


def _backlog(bench: Bench) -> None:
    journal = bench.folder / "due.db"
    shutil.copy(journals.made("due", bench.rows), journal)
    with bench.sink() as sink:
        started = time.perf_counter()
        with bench.bridge(KNOWN, sink=sink, journal=journal) as (program, _):
            bench.tell("ready with all of them due", [time.perf_counter() - started], unit="s", goal="under 1.50")
            cpu, drained = program.cpu(), _events(sink)
            time.sleep(_DRAINING)
            cpu, drained = program.cpu() - cpu, _events(sink) - drained
            bench.tell("drained, small orders", [drained / _DRAINING], unit="/s")
            bench.tell("processor time of each", [cpu / max(drained, 1) * 1e6], unit="us")
            bench.tell("memory while draining", [program.memory()], unit="MiB", goal="under 150")


def idle(bench: Bench) -> None:
    """Nothing to do: nothing done."""
    sys.stdout.write("idle\n")
    with bench.bridge(KNOWN) as (program, _):
        load(program.port, PATH, 64)
        time.sleep(3)
        cpu, switches = program.cpu(), program.switches()
        time.sleep(5)
        bench.tell("wakings in 5 s", [float(program.switches() - switches)], goal="near 0")
        bench.tell("processor time in 5 s", [program.cpu() - cpu], unit="s", goal="0")


def by_hand(bench: Bench) -> None:
    """The default rules on one order, beside Python written by hand that does the same."""
    sys.stdout.write("mapping one order by the default rules\n")
    from tests.bench import languages  # noqa: PLC0415  its packages are of the group `bench`

    pairs = [mapping.pair() for _ in range(max(5, bench.rounds))]
    bench.tell("by hand", [hand for hand, _ in pairs], unit="us")
    bench.tell("by rules", [rules for _, rules in pairs], unit="us")
    bench.tell("rules / hand", [rules / hand for hand, rules in pairs], goal="at most 1.50")
    sys.stdout.write("one event of one order, beside other languages (which say less: see tests/bench/languages.py)\n")
    beside = [languages.beside() for _ in range(max(5, bench.rounds))]
    for name in beside[0]:
        bench.tell(name, [each[name] for each in beside], unit="us")
    bench.tell("500 rules read, checked and compiled", [languages.compiling() for _ in range(3)], unit="s", goal="1.00")


def from_a_topic(bench: Bench) -> None:
    """A topic, read and sent."""
    streams.kafka(bench, KNOWN)


def _flat_in_postgres(bench: Bench, server: PostgresServer) -> None:
    """The cost of an order by what the journal holds, in the bridge and in the database."""
    sys.stdout.write(f"the same by what the journal holds ({bench.rows} orders)\n")
    costs: dict[str, list[tuple[float, float]]] = {}
    for kind in ("empty", "waiting", "settled"):
        place = new_place(server.dsn, lease=timedelta(seconds=15), poll=timedelta(seconds=5))
        filled(place, kind, bench.rows, now=time.time_ns() // 1000)
        with bench.sink() as sink, bench.bridge(KNOWN, sink=sink, place=place) as (program, _):
            bench.measured(program, sink)  # warm
            for _ in range(bench.rounds):
                before = server.cpu()
                told = bench.measured(program, sink)
                costs.setdefault(kind, []).append((told["cpu"], (server.cpu() - before) / bench.count * 1e6))
    for kind, values in costs.items():
        bench.tell(f"processor time of the bridge, {kind}", [ours for ours, _ in values], unit="us each")
        bench.tell(f"processor time of the database, {kind}", [its for _, its in values], unit="us each")


def _replicas(bench: Bench, server: PostgresServer) -> None:
    """Two replicas beside one: a core for each, one for the database, one for load and sink."""
    sys.stdout.write("whole chain over Postgres, by replicas that have a core each\n")
    if len(CORES) < _CORES_OF_REPLICAS:
        sys.stdout.write(f"  not measured: it needs {_CORES_OF_REPLICAS} cores, here are {len(CORES)}\n")
        return
    server.pin(CORES[-2])
    rates: dict[int, list[float]] = {}
    for replicas in (1, 2):
        place = new_place(server.dsn, lease=timedelta(seconds=15), poll=timedelta(seconds=5))
        with bench.sink() as sink, ExitStack() as stack:
            ports = [
                stack.enter_context(bench.bridge(KNOWN, sink=sink, place=place, core=core))[0].port
                for core in range(replicas)
            ]
            bench.spread(ports, sink)  # warm
            rates[replicas] = [bench.spread(ports, sink) for _ in range(bench.rounds)]
        bench.tell(f"{replicas} at once", rates[replicas], unit="/s")
    bench.tell("two / one", [two / one for one, two in zip(*rates.values(), strict=True)], goal="at least 1.60")


def over_postgres(bench: Bench) -> None:
    """Intake and chain with the journal in Postgres, whose processes have the last core, beside one bare statement."""
    folder = open_folder("bench-postgres-")
    server = PostgresServer(folder)
    try:
        server.pin(CORES[-1])
        sys.stdout.write("durable intake into Postgres: verify, append, 200\n")
        place = new_place(server.dsn, lease=timedelta(seconds=15), poll=timedelta(seconds=5))
        with bench.floor("postgres", server.dsn) as floor, bench.bridge(KNOWN, place=place) as (program, _):
            load(program.port, PATH, 64)  # by then the destination is known to be down
            rounds = [(bench.measured(floor), bench.measured(program)) for _ in range(bench.rounds)]
        _tell_pairs(bench, rounds, goal="at least 0.60")
        sys.stdout.write("whole chain over Postgres: one repeatable fact, profile known\n")
        place = new_place(server.dsn, lease=timedelta(seconds=15), poll=timedelta(seconds=5))
        with bench.sink() as sink, bench.bridge(KNOWN, sink=sink, place=place) as (program, _):
            load(program.port, PATH, 64)
            told = [bench.measured(program, sink) for _ in range(bench.rounds)]
        bench.tell("bridge", [one["rate"] for one in told], unit="/s")
        bench.tell("processor time of the bridge", [one["cpu"] for one in told], unit="us each")
        _flat_in_postgres(bench, server)
        _replicas(bench, server)
    finally:
        server.signal(signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


PARTS = {
    "mapping": by_hand,
    "intake": intake,
    "chain": chain,
    "aiohttp": both_ways,
    "flat": flat,
    "idle": idle,
    "kafka": from_a_topic,
    "postgres": over_postgres,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    bench = Bench(asked)
    sys.stdout.write(f"{bench.rounds} rounds of {bench.count} orders; medians, and from least to most\n")
    try:
        for name in asked.parts or PARTS:
            PARTS[name](bench)
    finally:
        shutil.rmtree(bench.folder)


if __name__ == "__main__":
    main()
