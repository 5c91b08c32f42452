"""The judge of a trial: what each event says that arrives at the API, and the oracle of the world over the journal's
tables at the end. It shares no code with the program."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.replicas.api import Arrival
from tests.replicas.journal import Tables
from tests.replicas.replica import Replica
from tests.world.api import Said
from tests.world.oracle import FINAL, Books, Broken, Oracle
from tests.world.shop import Order

_BEFORE, _AFTER = 10.0, 4.0
"""Seconds around something that was done to a replica. A process that was frozen or cut off may still send what may be
repeated, for it learns only then that others have its orders."""

Key = tuple[str, str, str]


class Judge:
    """Judges one trial. replicas: filled when it begins."""

    def __init__(self, tables: Tables, replicas: Sequence[Replica]) -> None:
        self._tables = tables
        self._replicas = replicas
        self.resent: Counter[Key] = Counter()
        """Facts that a person had sent again, though they may have arrived, and how often."""
        self.decided: set[str] = set()
        """Orders of which a person has decided something."""
        self.broken: list[str] = []
        self._late: list[Arrival] = []

    # -- while it lasts ------------------------------------------------------------------------------------------------

    async def on_arrival(self, arrival: Arrival) -> None:
        """An event has arrived, and is not answered yet: the journal must have it as one that may leave."""
        arrival.state = (await self._tables.states(arrival.order)).get((arrival.action, arrival.once))
        if arrival.key in self.resent:
            return
        if not arrival.is_repeatable and arrival.state in (None, "dead"):
            self.broken.append(f"it must not be repeated, and left without its mark: {arrival}")
        if arrival.state in FINAL:
            self._late.append(arrival)

    # -- at the end ----------------------------------------------------------------------------------------------------

    async def judge(self, orders: Sequence[Order], arrivals: Sequence[Arrival], copy: Path) -> Counter[str]:
        """Judge the whole trial, when all is well again and time has passed. What there was, counted."""
        self._judge_late()
        self._judge_unrepeatable(arrivals)
        await self._judge_kept(orders)
        await self._judge_work()
        if self.broken:
            raise Broken("\n".join(self.broken[:5]))
        return await self._asked(orders, arrivals, copy)

    async def _asked(self, orders: Sequence[Order], arrivals: Sequence[Arrival], copy: Path) -> Counter[str]:
        """What the oracle of the world says."""
        books = Books()
        books.resent.update(self.resent)
        books.retried.update(self.decided)
        books.refused.update(one.order for one in arrivals if one.kind == "422")
        await self._tables.copied(copy)
        oracle = Oracle(copy, books)
        try:
            return oracle.judge(orders, [_said(one) for one in arrivals if one.took_effect])
        finally:
            oracle.close()

    def _judge_late(self) -> None:
        for arrival in self._late:
            if not self._was_disturbed(arrival):
                self.broken.append(f"it is settled, and was sent again: {arrival}")

    def _was_disturbed(self, arrival: Arrival) -> bool:
        moments = self._replicas[arrival.by].disturbed
        return any(-_AFTER < arrival.at - moment < _BEFORE for moment in moments)

    def _judge_unrepeatable(self, arrivals: Sequence[Arrival]) -> None:
        """What may not be repeated leaves once, and again only if the answer was that nothing was done."""
        by_key: Mapping[Key, list[Arrival]] = defaultdict(list)
        for arrival in arrivals:
            if not arrival.is_repeatable and not arrival.is_sure:
                by_key[arrival.key].append(arrival)
        for key, all_of_it in by_key.items():
            if len(all_of_it) > 1 + self.resent[key]:
                told = "".join(f"\n  {one}" for one in all_of_it)
                self.broken.append(f"it must not be repeated, and left {len(all_of_it)} times: {told}")

    async def _judge_kept(self, orders: Sequence[Order]) -> None:
        rows = await self._tables.ask("SELECT name, id, count(*) FROM envelope JOIN lane ON n = lane GROUP BY name, id")
        found = {(name, delivery): count for name, delivery, count in rows}
        for order in orders:
            for document in order.documents:
                times = found.get((order.id, document.delivery), 0)
                if times > 1 or (not times and document.kept_at is not None):
                    self.broken.append(
                        f"{document.delivery} of the order {order.id} was answered 200 at {document.kept_at}, "
                        f"and the journal has it {times} times"
                    )

    async def _judge_work(self) -> None:
        rows = await self._tables.ask(
            "SELECT name, t.docs, count(w.seq) FROM turn t JOIN lane ON n = t.lane "
            "LEFT JOIN work w ON w.dest = t.dest AND w.lane = t.lane GROUP BY name, t.dest, t.docs"
        )
        for name, docs, count in rows:
            if docs != count:
                self.broken.append(f"the order {name} has {count} documents to do, and counts {docs}")
        nobodys = await self._tables.ask(
            "SELECT name FROM turn t JOIN lane ON n = t.lane "
            "WHERE owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM owner o WHERE o.id = t.owner)"
        )
        for (name,) in nobodys:
            self.broken.append(f"the order {name} belongs to a process that is gone")


def _said(arrival: Arrival) -> Said:
    return Said(
        at=arrival.at,
        order=arrival.order,
        action=arrival.action,
        once=arrival.once,
        amount=arrival.amount,
        currency=arrival.currency,
        by_profile=arrival.by_profile,
        took_effect=True,
    )
