"""Replicas for a person to see: a database, three replicas behind it, load on all, one killed and one frozen past its
lease on the way, and an account in which every acknowledged order is accounted for.

Usage: python -m tests.walks.show_replicas [SECONDS]     exits 1 if an order is missing or was sent twice for good
"""

import asyncio
import logging
import random
import shutil
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from bridge import registry
from bridge.config import read
from tests.bench.programs import free_port
from tests.postgres import PostgresServer, new_place, open_folder
from tests.walks.processes import ShopProcess, load, received
from tests.walks.replicas import accounted, replicas, states_of

LEASE = 3
ENVIRON = {"SHOPIFY_SECRET": "show", "HELLOTEXT_TOKEN": "show"}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(seconds: float) -> int:
    """Gives the exit code."""
    folder = await asyncio.to_thread(open_folder, "run-replicas-")
    server = await asyncio.to_thread(PostgresServer, folder)
    try:
        place = await asyncio.to_thread(new_place, server.dsn, lease=timedelta(seconds=LEASE))
        say(f"Postgres serves, schema {place.schema}")
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(registry.sandbox("hellotext").serving("127.0.0.1", 0))
            three = replicas(3, folder, url, ENVIRON, free_port, place, lease=LEASE)
            await asyncio.gather(*(replica.start() for replica in three))
            say("three replicas serve at " + ", ".join(f"127.0.0.1:{replica.port}" for replica in three))
            try:
                acknowledged = await _troubled(three, seconds)
                states = await states_of(place, acknowledged)
            finally:
                for replica in three:
                    await replica.end(signal.SIGTERM)
            return _told(states, acknowledged, await received(url))
    finally:
        with suppress(ProcessLookupError):
            server.signal(signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


async def _troubled(three: list[ShopProcess], seconds: float) -> set[str]:
    """The orders that were answered with 200 while one replica was killed and one was frozen."""
    signer = read(three[0].config.read_text(), environ=three[0].environ).sources["shop"]
    acknowledged: set[str] = set()
    stop = asyncio.Event()
    loads = [asyncio.create_task(load(three[n % 3], signer, acknowledged, stop, random.Random())) for n in range(9)]
    started = time.monotonic()
    await asyncio.sleep(seconds / 4)
    await three[0].end(signal.SIGKILL)
    say(f"{len(acknowledged):>6} orders acknowledged; the first replica is killed (SIGKILL)")
    three[1].running.send_signal(signal.SIGSTOP)
    say(f"        the second is frozen (SIGSTOP) for {2 * LEASE} s, its lease is {LEASE} s")
    await asyncio.sleep(2 * LEASE)
    three[1].running.send_signal(signal.SIGCONT)
    await three[0].start()
    say(f"{len(acknowledged):>6} orders acknowledged; the second goes on, the first is started again")
    await asyncio.sleep(max(1.0, seconds - (time.monotonic() - started)))
    stop.set()
    await asyncio.gather(*loads)
    say(f"{len(acknowledged):>6} orders acknowledged in all")
    return acknowledged


def _told(states: dict[str, dict[str, str]], acknowledged: set[str], events: list[dict]) -> int:
    ends = Counter(
        ", ".join(f"{action} {state}" for action, state in sorted(facts.items())) for facts in states.values()
    )
    say("the account:")
    for end, count in ends.most_common():
        say(f"  {count:>6}  {end}")
    problems = accounted(states, events)
    by_key = Counter((e["body"]["object_parameters"]["reference"], e["body"]["action"]) for e in events)
    repeated = sum(count - 1 for count in by_key.values())
    say(f"  {repeated} repeatable events arrived again after a crash, without a second effect at the API")
    good = not problems and set(states) == acknowledged
    say(f"every one of {len(acknowledged)} orders is accounted for" if good else f"NOT accounted for: {problems[:10]}")
    return 0 if good else 1


if __name__ == "__main__":
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # the stand-in, when a replica is killed
    with suppress(KeyboardInterrupt):
        try:
            sys.exit(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 16.0)))
        except ImportError as missing:
            sys.exit(f"no Postgres: {missing}")
