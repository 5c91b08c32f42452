"""The judge of a world. It shares no code with the program: it reads the journal's tables, the API's notes and the
shop's books, and says what does not agree."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tests.world.api import Said
from tests.world.shop import Document, Fact, Order

NEVER = 1 << 62
"""The due of a lane that is held, in microseconds."""

_OVERDUE = 100  # seconds
_BACKLOG = 5
"""Lanes that are due at once: where a disk takes seconds, more may wait for long and are not forgotten."""

FINAL = frozenset({"delivered", "shadowed", "dropped", "uncertain"})
"""States after which nothing is sent by itself."""


class Broken(AssertionError):
    """A promise did not hold."""


class Books:
    """What the world knows of the acts of persons: they may do what the program must not do by itself."""

    def __init__(self) -> None:
        self.resent: set[tuple[str, str, str]] = set()
        """Facts that a person has sent again, though they may have arrived."""
        self.retried: set[str] = set()
        """Orders of which a person has retried, dropped or settled something."""
        self.erased: set[str] = set()
        self.gone: set[str] = set()
        """Orders of persons whose erasure was reported as done: nothing of them leaves after that."""
        self.optional: set[str] = set()
        """Actions whose rule was off for a while."""
        self.refused: set[str] = set()
        """Orders of which something was parked or held for a while: what came later may have gone before."""


class Oracle:
    """Judges one world."""

    def __init__(self, path: Path, books: Books) -> None:
        self._path = path
        self._books = books
        self._connection: sqlite3.Connection | None = None

    def _ask(self, query: str, *arguments: object) -> list[tuple]:
        if self._connection is None:
            # Kept open: the journal's log stays where it is when a process dies, as after a real kill.
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        return self._connection.execute(query, arguments).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- always --------------------------------------------------------------------------------------------------------

    def on_kept(self, document: Document) -> None:
        """The door said that it has the document."""
        self._must_have(document, document.delivery, "answered 200")

    def on_committed(self, document: Document, identity: str) -> None:
        """The offset of the document's record was committed."""
        self._must_have(document, identity, "committed")

    def _must_have(self, document: Document, identity: str, how: str) -> None:
        found = self._ask(
            "SELECT count(*) FROM envelope JOIN lane ON lane.n = envelope.lane "
            "WHERE (id = ? OR id LIKE ? || '/%') AND name = ?",
            identity,
            identity,
            document.order.id,
        )
        if found != [(1,)]:
            raise Broken(f"{document.delivery} was {how}, and the journal has it {found[0][0]} times")

    def on_leaving(self, said: Said) -> None:
        """An event leaves for the API."""
        states = self._states(said.order).get((said.action, said.once))
        is_repeatable = said.by_profile and said.action.startswith("order.")
        key = (said.order, said.action, said.once)
        if said.order in self._books.gone:
            raise Broken(f"{key} leaves, though its person was erased before")
        if key in self._books.resent:
            return
        if states in FINAL:
            raise Broken(f"{key} leaves again, and the journal says that it is {states}")
        if not is_repeatable and states != "departed":
            raise Broken(f"{key} must not be repeated, and leaves without its mark (it is {states})")

    def _states(self, order: str) -> dict[tuple[str, str], str]:
        rows = self._ask(
            "SELECT fact, once, state FROM fact WHERE dest = 'hellotext' AND lane IN "
            "(SELECT n FROM lane WHERE name = ?)",
            order,
        )
        return {(fact, once_of(once)): state for fact, once, state in rows}

    def waiting(self) -> list[tuple[str, int, int]]:
        """Lanes with work: the order, when it is due, and whether a hold that exists keeps it."""
        return self._ask(
            "SELECT lane.name, turn.due, turn.held IS NOT NULL AND EXISTS "
            "(SELECT 1 FROM hold WHERE hold.rule = turn.held AND hold.dest = turn.dest) "
            "FROM turn JOIN lane ON lane.n = turn.lane"
        )

    def judge_due(self, now: int) -> None:
        """All is well: nothing is overdue. now: by the clock on the wall, in microseconds since 1970."""
        lanes = [(order, due) for order, due, _ in self.waiting() if due <= now]
        for order, due in lanes if len(lanes) <= _BACKLOG else ():
            if due < now - _OVERDUE * 1_000_000:
                raise Broken(
                    f"the order {order} is overdue by {(now - due) // 1_000_000} s, and nothing is wrong: forgotten"
                )

    # -- at the end ----------------------------------------------------------------------------------------------------

    def judge(self, orders: Sequence[Order], said: Sequence[Said]) -> Counter[str]:
        """Judge the whole world, when all is well again and time has passed. What there was, counted."""
        counted: Counter[str] = Counter()
        effects: dict[tuple[str, str, str], list[Said]] = defaultdict(list)
        for one in said:
            effects[(one.order, one.action, one.once)].append(one)
        self._judge_waiting()
        self._judge_states()
        healed = self._ask(
            "SELECT name FROM lane WHERE n IN (SELECT lane FROM verdict WHERE reason = 'healed' "
            "UNION SELECT lane FROM attempt WHERE reason = 'rule held')"
        )
        self._books.refused.update(name for (name,) in healed)
        for order in orders:
            counted += self._judge_order(order, effects)
        known = {(order.id, *key) for order in orders for document in order.documents
                 for key in [(fact.action, fact.once) for fact in document.facts]}  # fmt: skip
        if strange := effects.keys() - known:
            raise Broken(f"the API got what no order says: {sorted(strange)[:3]}")
        return counted

    def _judge_waiting(self) -> None:
        for order, due, is_held in self.waiting():
            if not (due == NEVER and is_held):
                raise Broken(f"the order {order} waits (due {due}), though all has been well for long: it is forgotten")
        lost = self._ask(
            "SELECT lane.name FROM work JOIN lane ON lane.n = work.lane WHERE NOT EXISTS "
            "(SELECT 1 FROM turn WHERE turn.lane = work.lane AND turn.dest = work.dest)"
        )
        if lost:
            raise Broken(f"the orders {lost[:3]} have work, and no turn: nobody will look at them")

    def _judge_states(self) -> None:
        left = self._ask("SELECT fact, once FROM fact WHERE state = 'departed'")
        if left:
            raise Broken(f"{left[:3]} departed, and nobody decides what became of them")

    def _judge_order(self, order: Order, effects: dict[tuple[str, str, str], list[Said]]) -> Counter[str]:
        counted: Counter[str] = Counter()
        states = self._states(order.id)
        is_held = any(name == order.id for name, _, _ in self.waiting())
        for key, fact in order.facts().items():
            arrived = effects.get((order.id, *key), [])
            state = states.get(key)
            if state is None:
                self._judge_absence(order, fact, arrived, is_held=is_held)
                counted["held" if is_held else "skipped"] += 1
                continue
            counted[state] += 1
            self._judge_fact(order, fact, state, arrived)
        self._judge_sequence(order, states, effects)
        return counted

    def _judge_absence(self, order: Order, fact: Fact, arrived: list[Said], *, is_held: bool) -> None:
        if is_held or order.id in self._books.erased or fact.action in self._books.optional:
            return
        if not order.has_identity:
            return
        reasons = [reason for (reason,) in self._ask(
            "SELECT DISTINCT reason FROM verdict WHERE lane IN (SELECT n FROM lane WHERE name = ?)", order.id
        )]  # fmt: skip
        if "stale" in reasons or "too old" in reasons or "erased" in reasons:
            # A document that is older than one that was seen says nothing; the newer one says it all.
            newest = max(d.number for d in order.documents if d.kept_at is not None)
            said_by_newest = {(one.action, one.once) for d in order.documents if d.number == newest for one in d.facts}
            if (fact.action, fact.once) not in said_by_newest or "too old" in reasons:
                return
        if order.id in self._books.retried:
            return
        raise Broken(
            f"the order {order.id} says {fact}, and the journal has no state for it ({reasons}; arrived {len(arrived)})"
        )

    def _judge_fact(self, order: Order, fact: Fact, state: str, arrived: list[Said]) -> None:
        key = (order.id, fact.action, fact.once)
        by_person = order.id in self._books.retried or key in self._books.resent
        if state == "delivered" and not arrived and not by_person:
            raise Broken(f"{key} is called delivered, and never arrived")
        for one in arrived:
            if one.amount is None or one.amount != fact.amount or one.currency != order.currency:
                raise Broken(f"{key} arrived with {one.amount} {one.currency}, and is {fact.amount} {order.currency}")
        unrepeatable = [one for one in arrived if not (one.by_profile and one.action.startswith("order."))]
        if len(unrepeatable) > 1 and key not in self._books.resent:
            raise Broken(f"{key} must not be repeated, and arrived {len(unrepeatable)} times (it is {state})")
        if unrepeatable and state == "dead" and not by_person:
            raise Broken(f"{key} is called dead, and arrived")

    def _judge_sequence(
        self, order: Order, states: dict[tuple[str, str], str], effects: dict[tuple[str, str, str], list[Said]]
    ) -> None:
        """Facts go in the order in which the documents came that first say them, unless one was parked or held."""
        if order.id in self._books.retried or order.id in self._books.refused:
            return
        if any(
            states.get((f.action, f.once)) != "delivered"
            for d in order.documents
            for f in d.facts
            if d.kept_at is not None
        ):
            return
        optional = self._books.optional
        rows = self._ask(
            "SELECT id FROM envelope WHERE lane IN (SELECT n FROM lane WHERE name = ?) ORDER BY seq", order.id
        )
        by_id = {document.delivery: document for document in order.documents}
        seen: set[tuple[str, str]] = set()
        last = -1.0
        for (name,) in rows:
            document = by_id.get(name)
            facts = [f for f in document.facts if f.action not in optional] if document else []
            fresh = [(f.action, f.once) for f in facts if (f.action, f.once) not in seen]
            times = [min(one.at for one in effects[(order.id, *key)]) for key in fresh if effects.get((order.id, *key))]
            if times and min(times) < last:
                raise Broken(f"the order {order.id}: {fresh} went before what an earlier document says")
            last = max([last, *times])
            seen.update(fresh)

    def judge_patience(self, give_up: timedelta, orders: Sequence[Order], now: datetime) -> None:
        """Nothing is given up before its time. now: by the clock that nobody sets; no try is older than its order."""
        began = {order.id: order.began for order in orders}
        given_up = self._ask("SELECT name, fact FROM fact JOIN lane ON lane.n = fact.lane WHERE reason = 'gave up'")
        for order, fact in given_up:
            if now - began[order] < give_up:
                raise Broken(f"{fact} of {order} was given up {now - began[order]} after the order began")

    def judge_others(self, orders: Sequence[Order], begin: float, end: float) -> None:
        """While one action alone is not allowed, what came is placed within a quarter of an hour."""
        for order in orders:
            kept = [d.kept_at for d in order.documents if d.kept_at is not None]
            is_in_time = kept and begin < min(kept) < end - 900.0
            is_looked_at = is_in_time and order.has_identity and order.id not in self._books.erased
            if is_looked_at and self._states(order.id).get(("order.placed", "")) is None:
                raise Broken(f"the order {order.id} is not placed, since another action is not allowed")

    def judge_erased(self, orders: Sequence[Order], log: str) -> None:
        """Erased persons are nowhere: not in the files of the journal, not in the log."""
        content = b"".join(
            each.read_bytes()
            for each in self._path.parent.iterdir()
            if each.name in (self._path.name, f"{self._path.name}-wal")
        )
        for order in orders:
            if not order.email:
                continue
            if order.email in log:
                raise Broken(f"the log names {order.email}")
            if order.is_erased and order.email.encode() in content:
                raise Broken(f"{order.email} was erased, and is still in the journal's files")


def once_of(kept: str) -> str:
    """What tells facts of one name apart, as the journal keeps it: a list in JSON."""
    return "".join(str(each) for each in json.loads(kept or "[]"))
