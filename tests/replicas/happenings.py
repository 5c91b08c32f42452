"""What happens in a trial: each is done to a replica, to Postgres, to the API, or by a person."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from bridge.contract import State
from bridge.errors import JournalError
from bridge.journal import Operator, Parked, Selection, postgres
from tests.replicas.api import KINDS, Weather
from tests.replicas.plan import LEASE, Happening
from tests.replicas.proxy import CLAIM, COMMIT, READ, WRITE, Lost
from tests.replicas.replica import Replica
from tests.replicas.scene import Scene
from tests.world.oracle import once_of

_ACTIONS = ("order.placed", "order.confirmed", "order.shipped", "refund.received")
_TRIES = 40  # tries of a person's command, a quarter of a second apart


def _long(chance: Random) -> float:
    """Seconds: longer than the lease, or shorter."""
    return LEASE * (chance.uniform(1.3, 2.2) if chance.random() < 0.6 else chance.uniform(0.1, 0.7))


class Happenings:
    """Does what a plan says."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def happen(self, happening: Happening) -> None:
        """Wait for its time, and do it to its end."""
        scene = self._scene
        await asyncio.sleep(max(0.0, happening.at - scene.now()))
        replica, chance = scene.replicas[happening.replica], happening.chance
        act = getattr(self, "_" + happening.what.replace(" ", "_").replace("-", "_").lower())
        scene.counted[happening.what] += 1
        await act(replica, chance)

    # -- processes -----------------------------------------------------------------------------------------------------

    async def _kill(self, replica: Replica, chance: Random) -> None:
        if not replica.is_up:
            return
        self._scene.say(f"replica {replica.number} is killed")
        await replica.kill()
        await self._start_again(replica, chance)

    async def _stop(self, replica: Replica, chance: Random) -> None:
        if not replica.is_up:
            return
        self._scene.say(f"replica {replica.number} is told to stop")
        code = await replica.stop()
        self._scene.say(f"replica {replica.number} has stopped with {code}")
        await self._start_again(replica, chance)

    async def _start_again(self, replica: Replica, chance: Random) -> None:
        await asyncio.sleep(chance.choice((0.0, 0.5, 1.5 * LEASE)))
        if replica.running is None:
            self._scene.say(f"replica {replica.number} is started")
            await replica.launch()

    async def _freeze(self, replica: Replica, chance: Random) -> None:
        if not replica.is_up or replica.is_frozen:
            return
        seconds = _long(chance)
        self._scene.say(f"replica {replica.number} is frozen for {seconds:.1f} s")
        await replica.frozen(seconds)

    # -- the way to the database ---------------------------------------------------------------------------------------

    async def _partition(self, replica: Replica, chance: Random) -> None:
        proxy, seconds = replica.proxy, _long(chance)
        ways = chance.choice(("both ways", "to the database", "from the database"))
        is_cut = chance.random() < 0.3
        end = "cut" if is_cut else "all that was held back goes on"
        self._scene.say(f"nothing passes {ways} of replica {replica.number} for {seconds:.1f} s, then {end}")
        if ways != "from the database":
            proxy.to_server.clear()
        if ways != "to the database":
            proxy.to_client.clear()
        await replica.disturbed_for(seconds)
        if is_cut:
            proxy.cut()
        proxy.to_server.set()
        proxy.to_client.set()
        self._scene.say(f"replica {replica.number} has its database again")

    async def _cut(self, replica: Replica, chance: Random) -> None:
        replica.disturb()
        self._scene.say(f"{replica.proxy.cut()} connections of replica {replica.number} are cut")

    async def _half_close(self, replica: Replica, chance: Random) -> None:
        replica.disturb()
        to_server = chance.random() < 0.5
        replica.proxy.half_close(to_server=to_server)
        side = "database" if to_server else "replica"
        self._scene.say(f"the connections of replica {replica.number} are closed towards the {side} alone")

    async def _delay(self, replica: Replica, chance: Random) -> None:
        latency, seconds = chance.choice((0.02, 0.06, 0.12, 0.3)), chance.uniform(1.0, 5.0)
        self._scene.say(f"all takes {latency} s each way for replica {replica.number}, for {seconds:.1f} s")
        replica.proxy.latency = latency
        await replica.disturbed_for(seconds)
        replica.proxy.latency = 0.0

    async def _lose_answers(self, replica: Replica, chance: Random) -> None:
        """As in a failover: it was done, or is about to be, and whoever asked for it is not told."""
        replica.disturb()
        lost = Lost(
            kind=chance.choice((COMMIT, COMMIT, CLAIM, CLAIM, WRITE, READ)),
            count=chance.choice((1, 2, 5)),
            is_done=chance.random() < 0.6,
        )
        when = "when it has answered" if lost.is_done else "at once"
        self._scene.say(f"the answer to {lost.kind} of replica {replica.number} is lost {lost.count} times, {when}")
        replica.proxy.lost.append(lost)

    async def _crash_postgres(self, _replica: Replica, chance: Random) -> None:
        seconds = chance.uniform(0.0, 1.5)
        self._scene.say(f"Postgres crashes, and is away for {seconds:.1f} s")
        await self._scene.crash_postgres(seconds)
        self._scene.say("Postgres is back")

    # -- the API -------------------------------------------------------------------------------------------------------

    async def _weather(self, _replica: Replica, chance: Random) -> None:
        seconds = chance.uniform(0.5, 3.0)
        weather = Weather(
            kind=chance.choice(KINDS),
            until=self._scene.now() + seconds,
            share=chance.choice((0.2, 0.7, 1.0)),
            actions=tuple(chance.sample(_ACTIONS, chance.choice((0, 0, 1, 2)))),
        )
        whom = " and ".join(weather.actions) or "all"
        self._scene.say(f"the API for {seconds:.1f} s: {weather.kind}, {weather.share:.0%} of {whom}")
        self._scene.api.weather.append(weather)

    async def _refuse_and_release(self, replica: Replica, chance: Random) -> None:
        """The API refuses one rule until it is held. A person releases it; one replica hears late of it."""
        scene, action = self._scene, chance.choice(_ACTIONS[:2])
        until = scene.now() + 5.0
        weather = Weather(kind="422", until=until, share=1.0, actions=(action,))
        scene.say(f"the API refuses all of {action}; each piece takes 0.1 s for replica {replica.number}")
        scene.api.weather.append(weather)
        replica.proxy.latency = 0.1
        while scene.now() < until and not await scene.tables.ask("SELECT 1 FROM hold"):
            replica.disturb()
            await asyncio.sleep(0.05)
        await replica.disturbed_for(chance.uniform(0.0, 2.0))
        await self.release_all()
        if weather in scene.api.weather:
            scene.api.weather.remove(weather)
        await replica.disturbed_for(1.0)
        replica.proxy.latency = 0.0

    # -- persons -------------------------------------------------------------------------------------------------------

    async def _retry(self, _replica: Replica, chance: Random) -> None:
        await self._decide(State.DEAD, chance, "are retried", lambda journal: journal.retry)

    async def _drop(self, _replica: Replica, chance: Random) -> None:
        await self._decide(State.DEAD, chance, "are dropped", lambda journal: journal.drop)

    async def _resend(self, _replica: Replica, chance: Random) -> None:
        def resend(facts: Sequence[Parked]) -> None:
            for fact in facts:
                self._scene.judge.resent[fact.order, fact.fact, once_of(fact.once)] += 1

        await self._decide(State.UNCERTAIN, chance, "are sent again", lambda journal: journal.resend, resend)

    async def _settle(self, _replica: Replica, chance: Random) -> None:
        state = chance.choice((State.DELIVERED, State.DROPPED))

        def act(journal: Operator) -> Callable[[Sequence[str]], Awaitable[int]]:
            return lambda refs: journal.settle(refs, state)

        await self._decide(State.UNCERTAIN, chance, f"are settled as {state}", act)

    async def _decide(
        self,
        state: State,
        chance: Random,
        what: str,
        act: Callable[[Operator], Callable[[Sequence[str]], Awaitable[int]]],
        before: Callable[[Sequence[Parked]], None] = lambda _facts: None,
    ) -> None:
        async def decide(journal: Operator) -> str:
            facts = [each async for each in journal.parked(Selection(state=state)) if chance.random() < 0.6]
            if not facts:
                return f"no {state} facts {what}"
            self._scene.judge.decided.update(fact.order for fact in facts)
            before(facts)
            done = await act(journal)([fact.ref for fact in facts])
            return f"{done} of {len(facts)} {state} facts {what} by a person"

        await self._commanded(decide)

    async def _release(self, _replica: Replica, _chance: Random) -> None:
        await self.release_all()

    async def release_all(self) -> None:
        """A person releases each rule that is held."""

        async def release(journal: Operator) -> str:
            holds = await journal.holds()
            freed = [await journal.release(hold.dest, hold.rule) for hold in holds]
            return f"{len(holds)} rules are released by a person, {sum(freed)} orders go on"

        await self._commanded(release)

    async def _commanded(self, command: Callable[[Operator], Awaitable[str]]) -> None:
        """Do what a person does, who tries again when the database is away."""
        for _ in range(_TRIES):
            try:
                async with postgres.acting(self._scene.place) as journal:
                    self._scene.say(await command(journal))
                    return
            except JournalError:
                await asyncio.sleep(0.25)
        self._scene.say("a person gave up: the database does not answer")
