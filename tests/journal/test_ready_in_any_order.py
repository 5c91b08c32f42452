"""Every order of what happens between a question to the table and its answer: what is due is claimed, once.

A small world around the real `ReadyQueue` plays the writer's thread, the reader's thread and the event loop: what is
committed is told later, a search sees the table at one moment and answers at another. All its states are walked.
"""

import copy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bridge.contract import Reason
from bridge.journal import Done, Postponed, Progress
from bridge.journal.sqlite.ready import ReadyQueue

START = datetime(2026, 11, 20, tzinfo=UTC)
DOCUMENTS, ACTS, POSTPONEMENTS, TICKS = 2, 1, 1, 1
"""How much may happen in one world, so that there is an end to its states."""


def _moment(tick):
    return START + timedelta(seconds=tick)


class World:
    def __init__(self):
        self.ready = ReadyQueue()
        self.now = 0
        self.table = {}  # lane: (due, documents)
        self.documents = self.acts = self.postponements = 0
        self.appended = ()  # committed, and not told yet
        self.ended = ()  # the same: records and acts, whose tasks go on a turn or more after what came before them
        self.claims = {}  # lane: document
        self.asked = frozenset()  # lanes whose document a person asked for again since it was claimed
        self.search = None  # who was in flight when it was asked
        self.found = None  # what the table answered

    def state(self):
        """Worlds that are equal here go on alike."""
        ready = self.ready
        known = (
            ready.due,
            ready._known,
            tuple(sorted(ready.in_flight)),
            tuple(sorted(ready._has_more)),
            tuple(sorted(ready.revoked)),
            tuple(sorted(ready._decided)),
            tuple(sorted(self.asked)),
        )
        return repr((
            *known, [one[:2] for one in ready._queue], ready._postponed, self.now, sorted(self.table.items()),
            self.documents, self.acts, self.postponements, self.appended, self.ended, sorted(self.claims.items()),
            self.search, self.found,
        ))  # fmt: skip

    def moves(self):
        """What may happen next."""
        yield from self._commits()
        if self.appended:
            yield (self.tell_append,)
        if self.ended and not any(seq <= self.ended[0][2] for _, seq, _ in self.appended):
            yield (self.tell_end,)
        if self.now < TICKS:
            yield (self.tick,)
        if self.search is None:
            yield (self.claim,)
        else:
            yield (self.look,) if self.found is None else (self.answer,)

    def _commits(self):
        if self.documents < DOCUMENTS:
            yield from ((self.append, lane) for lane in (1, 2))
        for lane in self.claims:
            yield self.record, lane, None
            if self.postponements < POSTPONEMENTS:
                yield self.record, lane, 1
        if self.acts < ACTS and self.table:
            yield (self.act,)
            yield from ((self.ask_again, lane) for lane in self.claims)
            yield from ((self.erase, lane) for lane in self.table)

    # -- the writer ----------------------------------------------------------------------------------------------------

    def append(self, lane):
        self.documents += 1
        due, documents = self.table.get(lane, (self.now, ()))
        self.appended += ((lane, self.documents, lane not in self.table),)
        self.table[lane] = (due if documents else self.now, (*documents, self.documents))

    def record(self, lane, wait):
        seq = self.claims.pop(lane)
        _, documents = self.table[lane]
        gone = None if lane in self.asked else seq
        self.asked -= {lane}
        if wait is None:
            self.table[lane] = (self.now, tuple(each for each in documents if each != gone))
            self.ended += ((lane, None, self.documents),)
        else:
            self.postponements += 1
            self.table[lane] = (self.now + wait, documents)
            self.ended += ((lane, self.now + wait, self.documents),)

    def act(self):
        """A person's retry: what waits is due now."""
        self.acts += 1
        self.table = {lane: (min(due, self.now), documents) for lane, (due, documents) in self.table.items()}
        self.ended += ((None, None, self.documents),)

    def ask_again(self, lane):
        """The document that is in flight is to be mapped once more."""
        self.acts += 1
        self.asked |= {lane}
        self.ended += ((None, (lane, False), self.documents),)

    def erase(self, lane):
        self.acts += 1
        self.table[lane] = (self.now, ())
        self.ended += ((None, (lane, True), self.documents),)

    # -- the event loop ------------------------------------------------------------------------------------------------

    def tell_append(self):
        (lane, seq, opened), *rest = self.appended
        self.appended = tuple(rest)
        if opened:
            self.ready.offer(lane, seq, SimpleNamespace(raw=b"{}"))
        else:
            self.ready.added(lane)

    def tell_end(self):
        (lane, until, _), *rest = self.ended
        self.ended = tuple(rest)
        if lane is None:
            acted, revoking = until or (None, False)
            self.ready.acted({acted} - {None}, revoking=revoking)
        else:
            waits = Postponed(until=until and _moment(until), fact="placed", reason=Reason.THROTTLED)
            self.ready.ended(SimpleNamespace(lane=lane), Progress(end=waits if until else Done()))

    def tick(self):
        self.now += 1

    def claim(self):
        if self.ready.must_search(_moment(self.now)):
            self.ready.search()
            self.search = frozenset(self.ready.in_flight)
            return
        for lane, seq, _ in self.ready.take(1, 1000):
            self._given(lane, seq)

    # -- the reader ----------------------------------------------------------------------------------------------------

    def look(self):
        waiting = sorted((due, lane) for lane, (due, documents) in self.table.items() if documents)
        free = [(due, lane) for due, lane in waiting if lane not in self.search]
        overdue = [lane for due, lane in free if due <= self.now]
        chosen = overdue[:1]
        rest = [due for due, lane in free if lane not in chosen]
        whole = len(chosen) == len(overdue)
        next_due = _moment(rest[0]) if whole and rest else None
        self.found = ({lane: self.table[lane][1][0] for lane in chosen}, whole, next_due)

    def answer(self):
        lanes, whole, due = self.found
        self.search = self.found = None
        self.ready.found(lanes, whole=whole, due=due)
        for lane, seq in lanes.items():
            self._given(lane, seq)

    def _given(self, lane, seq):
        assert lane not in self.claims, "in flight twice"
        documents = self.table[lane][1]
        assert seq not in documents[1:], "not the oldest document of its lane"
        self.claims[lane] = seq

    # -- what is promised ----------------------------------------------------------------------------------------------

    def check(self):
        """Where all is told, what waits will be asked for."""
        if self.appended or self.ended or self.search is not None:
            return
        erased = {lane for lane, seq in self.claims.items() if seq not in self.table[lane][1]}
        assert erased <= self.ready.revoked, "erased, and would be sent"
        if self.ready.must_search(_moment(self.now)) or not self.ready.is_whole:
            return
        waiting = {lane: due for lane, (due, documents) in self.table.items() if documents and lane not in self.claims}
        overdue = {lane for lane, due in waiting.items() if due <= self.now}
        assert overdue <= {lane for lane, _, _ in self.ready._queue}, "due, and nobody asks for it"
        if later := [due for due in waiting.values() if due > self.now]:
            assert self.ready.due is not None, "will be due, and nobody will ask for it"
            assert self.ready.due <= _moment(min(later))


@pytest.mark.parametrize("bytes_", [1_000, 1], ids=["all is kept", "one is kept"])
def test_whatever_happens_what_is_due_is_claimed_once(monkeypatch, bytes_):
    monkeypatch.setattr("bridge.journal.sqlite.ready._MOST_BYTES", bytes_)
    worlds, known = [(World(), ())], set()
    while worlds:
        world, path = worlds.pop()
        for name, *arguments in [(move[0].__name__, *move[1:]) for move in world.moves()]:
            after = copy.deepcopy(world)
            way = (*path, (name, *arguments))
            try:
                getattr(after, name)(*arguments)
                after.check()
            except AssertionError as problem:
                raise AssertionError(f"{problem}, after {way}") from None
            if (state := after.state()) not in known:
                known.add(state)
                worlds.append((after, way))
    assert len(known) > 10_000
