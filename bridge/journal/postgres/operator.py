"""Acts of a person on parked facts and held rules. Each call is one transaction, or a few pages of them."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bridge import clock
from bridge.contract import Reason, State
from bridge.errors import JournalError
from bridge.journal import ENDS, Erased, Erasure, Parked
from bridge.journal.postgres import erasures
from bridge.journal.postgres.append import columns
from bridge.journal.postgres.database import Database
from bridge.journal.postgres.decisions import notify_decided, revoke
from bridge.journal.postgres.place import Connection
from bridge.journal.postgres.reader import PostgresReader
from bridge.journal.rows import Row, as_attempts, lane_of, parked_of


def now() -> int:
    return clock.microseconds()


class PostgresOperator(PostgresReader):
    """Implements Operator. `acted` notifies the processes that work that something may be due."""

    def __init__(self, database: Database, acted: Callable[[], Awaitable[None]]) -> None:
        super().__init__(database)
        self._acted = acted

    async def _act(self, work: Callable[[Connection], Awaitable[int]]) -> int:
        done = await self._database.transaction(work)
        await self._acted()
        return done

    async def retry(self, refs: Sequence[str]) -> int:
        return await self._act(partial(self._retry, refs=refs, at=now()))

    async def resend(self, refs: Sequence[str]) -> int:
        return await self._act(partial(self._resend, refs=refs, at=now()))

    async def reread(self, refs: Sequence[str]) -> int:
        return await self._decide(refs, (State.DEAD, State.DROPPED, Reason.RETRIED_BY_HAND))

    async def drop(self, refs: Sequence[str]) -> int:
        return await self._decide(refs, (State.DEAD, State.DROPPED, Reason.DROPPED_BY_HAND))

    async def settle(self, refs: Sequence[str], state: State) -> int:
        if state not in ENDS:
            raise JournalError(f"what is uncertain ends as {' or '.join(sorted(ENDS))}, not as {state}")
        return await self._decide(refs, (State.UNCERTAIN, state, Reason.SETTLED_BY_HAND))

    async def _decide(self, refs: Sequence[str], how: tuple[State, State, Reason]) -> int:
        """Decide about lanes. When this returns, nothing that was claimed of them, here or elsewhere, is sent any
        more."""
        facts, claims = await self._database.transaction(partial(self._end, refs=refs, how=how, at=now()))
        await self._acted()
        await notify_decided(self._database, claims)
        return facts

    async def release(self, dest: str, rule: str) -> int:
        released = 0
        while page := await self._act(partial(self._release, dest=dest, rule=rule, at=now())):
            released += page
        # A process that held a lane by the rule while its hold ended has stored that by now, or found no hold.
        return released + await self._act(partial(self._free_held, at=now()))

    async def block(self, erasure: Erasure) -> int:
        return await erasures.block(self._database, erasures.hashes(await self.salt(), erasure), now())

    async def allow(self, erasure: Erasure) -> int:
        return len(await self._database.fetch("allow", erasures.hashes(await self.salt(), erasure)))

    async def erase(self, erasure: Erasure) -> Erased:
        lanes = await self.lanes(erasure, limit=erasures.PAGE + 1)
        if not erasure.everything:
            await erasures.block_orders(self._database, await self.salt(), lanes, now())
        erased = await erasures.erase(self._database, await self.salt(), lanes, erasure, self._acted)
        await self._acted()
        return erased

    async def conclude(self, ref: str) -> int:
        return await erasures.conclude(self._database, ref, now())

    # -- in a transaction ----------------------------------------------------------------------------------------------

    async def _each(self, connection: Connection, refs: Sequence[str], state: State) -> list[Parked]:
        found: list[Parked] = []
        for ref in refs:
            lane = lane_of(ref)
            sql = self._database.sql["parked_of_lane"]
            rows = await connection.fetch(sql, lane, state.value) if lane is not None else []
            found += [fact for fact in (parked_of(tuple(row)) for row in rows) if fact.ref == ref]
        return found

    async def _run(self, connection: Connection, name: str, *arguments: object) -> int:
        status: str = await connection.execute(self._database.sql[name], *arguments)
        return int(status.rpartition(" ")[2])

    async def _note(self, connection: Connection, fact: Parked, reason: Reason, at: int) -> None:
        row = (fact.lane, fact.seq, fact.dest, fact.rule, reason.value, fact.fact, at)
        await self._run(connection, "put_verdicts", *columns([row], 7))

    async def _retry(self, connection: Connection, *, refs: Sequence[str], at: int) -> int:
        """Retry dead facts of destinations whose newest document is still stored. What a source parked has no
        destination."""
        retried = []
        for fact in await self._each(connection, refs, State.DEAD):
            sql = self._database.sql["newest_document"]
            newest = await connection.fetchval(sql, fact.lane, fact.source, fact.kind)
            if fact.dest and newest is not None:
                await self._run(connection, "ask", fact.dest, fact.lane, newest, at)
                await self._note(connection, fact, Reason.RETRIED_BY_HAND, at)
                retried.append(fact)
        await self._run(connection, "put_attempts", *columns(as_attempts(retried), 8))
        return len(retried)

    async def _resend(self, connection: Connection, *, refs: Sequence[str], at: int) -> int:
        """Resend uncertain facts: the key is let go and the document that made it is mapped again."""
        facts = await self._each(connection, refs, State.UNCERTAIN)
        for fact in facts:
            key = (fact.lane, fact.dest, fact.fact, fact.once)
            await self._run(connection, "forget_fact", *key, State.UNCERTAIN.value)
            await self._run(connection, "ask", fact.dest, fact.lane, fact.seq, at)
            await self._note(connection, fact, Reason.SENT_BY_HAND, at)
        await self._run(connection, "put_attempts", *columns(as_attempts(facts), 8))
        return len(facts)

    async def _end(
        self, connection: Connection, *, refs: Sequence[str], how: tuple[State, State, Reason], at: int
    ) -> tuple[int, Sequence[Row]]:
        """Give parked facts a final state, as a person decided. Returns how many, and which claims were revoked."""
        parked, state, reason = how
        facts = await self._each(connection, refs, parked)
        claims = await revoke(self._database, connection, {(fact.dest, fact.lane) for fact in facts})
        for fact in facts:
            key = (fact.lane, fact.dest, fact.fact, fact.once)
            await self._run(connection, "set_state", state.value, reason.value, at, *key, parked.value)
        return len(facts), claims

    async def _free_held(self, connection: Connection, *, at: int) -> int:
        """Make lanes due that wait for a rule that nobody holds."""
        return await self._run(connection, "free_held", at)

    async def _release(self, connection: Connection, *, dest: str, rule: str, at: int) -> int:
        """Make one page of the lanes due that wait for a held rule. With the last page the hold ends."""
        freed = await self._run(connection, "release", at, dest, rule)
        if not freed:
            await self._run(connection, "end_hold", dest, rule)
        return freed
