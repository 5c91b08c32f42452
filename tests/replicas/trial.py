"""One trial: replicas over a Postgres of their own, the happenings of a seed, and the judgement at its end."""

import asyncio
import io
import re
import shutil
import signal
import sys
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import aiohttp

from bridge import telemetry
from tests.postgres import PostgresServer, new_place, open_folder
from tests.replicas.happenings import Happenings
from tests.replicas.plan import LEASE, SPAN, Plan, drawn
from tests.replicas.scene import Scene, opened
from tests.replicas.senders import Platform
from tests.world.oracle import Broken

_TAKEN_WITHIN = 60.0  # seconds of good weather after which each delivery was answered 200
_DRAINED_WITHIN = 45.0  # seconds of good weather after which nothing waits any more
_QUIET = 1.0  # seconds in which nothing more leaves
_ORDER = re.compile(r"\b6\d{12}\b")


def trial(seed: int) -> Counter[str]:
    """Let all that the seed draws happen to replicas, and judge.

    Raises ImportError where there is no Postgres; AssertionError for a promise that did not hold.
    """
    telemetry.set_up(level="error", stream=io.TextIOWrapper(io.BytesIO()))
    before = signal.signal(signal.SIGTERM, _ended)
    folder = open_folder("replicas-")
    try:
        server = PostgresServer(folder)
        try:
            place = new_place(server.dsn, lease=timedelta(seconds=LEASE))
            return asyncio.run(_lived(seed, drawn(seed), folder, server, place))
        finally:
            with suppress(OSError, AttributeError):  # it may not have come back
                server.signal(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        telemetry.set_up(level="warning")
        signal.signal(signal.SIGTERM, before)


def _ended(_number: int, _frame: object) -> None:
    """Leave no process behind when the trial is told to end."""
    sys.exit(1)


async def _lived(seed, plan, folder, server, place) -> Counter[str]:
    timeout = aiohttp.ClientTimeout(total=3)
    async with (
        opened(seed, plan, folder, server, place) as scene,
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session,
    ):
        platform = Platform(scene, seed, plan.orders, session)
        try:
            await asyncio.gather(*[replica.start() for replica in scene.replicas])
            await _Course(scene, plan, platform).run()
            scene.counted += await scene.judge.judge(platform.orders, scene.api.arrivals, folder / "copy.db")
        except AssertionError as broken:
            raise AssertionError(await _told(seed, plan, scene, str(broken))) from broken
        scene.counted["events"] = len(scene.api.arrivals)
        scene.counted["orders"] = len(platform.orders)
        return scene.counted


class _Course:
    """The course of a trial, from the first order to the last process that stops."""

    def __init__(self, scene: Scene, plan: Plan, platform: Platform) -> None:
        self._scene = scene
        self._plan = plan
        self._platform = platform
        self._happenings = Happenings(scene)

    async def run(self) -> None:
        scene = self._scene
        scene.begin()
        scene.api.slowness = self._plan.slowness
        posts = [asyncio.create_task(post) for post in self._platform.sending()]
        supervising = asyncio.create_task(self._supervise())
        try:
            await asyncio.gather(*[self._happenings.happen(each) for each in self._plan.happenings])
            await asyncio.sleep(max(0.0, SPAN - scene.now()))
            await self._calm()
            await self._all_taken(posts)
            await self._drained()
            supervising.cancel()
            await self._stopped()
        finally:
            supervising.cancel()
            for post in posts:
                post.cancel()

    async def _supervise(self) -> None:
        """Start replicas again that could not start without their database. None may end otherwise."""
        scene = self._scene
        while True:
            for replica in list(scene.replicas):
                if not replica.has_died:
                    continue
                code = replica.running.returncode
                if replica.has_served or code != 1:
                    scene.judge.broken.append(f"replica {replica.number} has ended by itself, with {code}")
                scene.say(f"replica {replica.number} has ended with {code}, and is started again")
                await replica.launch()
            await asyncio.sleep(0.5)

    async def _calm(self) -> None:
        """From now on all is well, and a person has released what was held."""
        scene = self._scene
        scene.api.weather.clear()
        scene.api.slowness = 0.0
        if self._plan.gone is not None:
            gone = scene.replicas.pop(self._plan.gone)
            if gone.is_up:
                await gone.kill()
            scene.say(f"replica {gone.number} is gone, for good")
        for replica in scene.replicas:
            replica.proxy.heal()
            replica.disturb()
            if replica.running is None:
                await replica.launch()
        scene.say("all is well from now on")
        await self._happenings.release_all()

    async def _all_taken(self, posts: list[asyncio.Task[None]]) -> None:
        _, late = await asyncio.wait(posts, timeout=_TAKEN_WITHIN)
        if late:
            raise Broken(f"all has been well for {_TAKEN_WITHIN:.0f} s, and {len(late)} deliveries are not taken")
        await asyncio.gather(*posts)

    async def _drained(self) -> None:
        """Nothing waits any more, and nothing more leaves."""
        scene = self._scene
        until = scene.now() + _DRAINED_WITHIN
        while waiting := await scene.tables.waiting():
            if scene.now() > until:
                raise Broken(f"all has been well for {_DRAINED_WITHIN:.0f} s, and " + "; ".join(waiting[:5]))
            await asyncio.sleep(0.2)
        scene.say("nothing waits any more")
        await asyncio.sleep(0.3)
        count = len(scene.api.arrivals)
        await asyncio.sleep(_QUIET)
        if more := scene.api.arrivals[count:]:
            raise Broken(f"nothing waits any more, and this leaves: {more[0]}")

    async def _stopped(self) -> None:
        scene = self._scene
        codes = await asyncio.gather(*[replica.stop() for replica in scene.replicas])
        if any(codes):
            raise Broken(f"the replicas were told to stop, and end with {codes}")
        for replica in scene.everybody:
            if bugs := replica.bugs():
                raise Broken(f"the log of replica {replica.number} tells of a bug: {bugs[0]}")
            text = replica.log.read_text()
            if "canary-" in text:
                raise Broken(f"the log of replica {replica.number} names a person")
            scene.counted["lanes lost"] += text.count('"lane.lost"')
            scene.counted["leases lost"] += text.count('"lease.lost"')


async def _told(seed: int, plan: Plan, scene: Scene, broken: str) -> str:
    """All that is needed to understand what broke."""
    said = [f"seed {seed}: {broken}", "", "The seed repeats what happens and when, not how the processes interleave."]
    said += ["", "The plan:", str(plan), "", "What happened:", *scene.story]
    for replica in scene.replicas:
        if f"replica {replica.number} has ended" in broken:
            said += ["", f"The end of the log of replica {replica.number}:", replica.log.read_text()[-5000:]]
    for order in sorted(set(_ORDER.findall(broken)))[:3]:
        said += ["", f"The order {order} in the journal:", *await scene.tables.told(order), "At the API:"]
        said += [str(one) for one in scene.api.arrivals if one.order == order]
        for replica in scene.everybody:
            said += [f"In the log of replica {replica.number}:"]
            said += [str(line) for line in replica.lines() if order in str(line)]
    return "\n".join(said)
