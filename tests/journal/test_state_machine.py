"""Any sequence of events, crashes included, against a plain model in memory."""

import asyncio
import tempfile
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bridge.contract import Envelope, Reason, State
from bridge.journal import Done, Hold, Postponed, Progress, Selection, Settled, postgres, sqlite
from tests.journal.usual import USUAL_RETENTION
from tests.postgres import place_of

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
PARKED = (State.DEAD, State.UNCERTAIN, State.DEPARTED)
ORDERS = st.sampled_from("abc")
FACTS = st.sampled_from(["placed", "paid"])
FINAL = st.sampled_from([State.DELIVERED, State.DEAD, State.UNCERTAIN, State.SHADOWED])


class AnyDay(RuleBasedStateMachine):
    """The model: documents by order, what waits, what has a state, which lanes are in flight or postponed."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self._made()
        self.now = START
        self.known, self.waiting, self.asked = {}, {}, Counter()
        self.facts, self.newest, self.postponed, self.claims, self.lanes = {}, {}, {}, {}, {}
        self.made_by, self.bodiless = {}, set()
        self.held = False
        self._open()

    def _open(self):
        self.context = self._opened()
        self.journal = self._do(self.context.__aenter__())

    def _made(self):
        self.path = Path(self.folder.name) / "journal.db"

    def _opened(self):
        return sqlite.opened(self.path, destinations=["api"])

    def _do(self, work):
        return self.runner.run(work)

    def teardown(self):
        self._do(self.context.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()

    @rule(order=ORDERS, delivery=st.integers(0, 3), minutes=st.integers(-3, 3))
    def append(self, order, delivery, minutes):
        version = START + timedelta(minutes=minutes)
        appended = self._do(
            self.journal.append(
                Envelope(
                    source="shop",
                    id=str(delivery),
                    topic="orders/create",
                    kind="order",
                    tenant="shop",
                    lane=order,
                    version=version,
                    received_at=self.now,
                    raw=b"{}" * 100,
                )
            )
        )
        assert ((order, delivery) in self.known) == appended.known
        if not appended.known:
            self.known[order, delivery] = (appended.seq, version)
            self.waiting.setdefault(order, []).append(appended.seq)
            self.lanes[order] = appended.lane
        assert self.known[order, delivery][0] == appended.seq

    @rule(limit=st.integers(1, 3))
    def claim(self, limit):
        due = {
            order
            for order, waiting in self.waiting.items()
            if waiting and order not in self.claims and self.postponed.get(order, START) <= self.now
        }
        claims = self._do(self.journal.claim("api", now=self.now, limit=limit, budget=10**9))
        assert min(limit, len(due)) == len(claims)
        for claim in claims:
            order = claim.envelope.lane
            assert order in due
            assert min(self.waiting[order]) == claim.seq
            held = {(fact, "[]"): state for (lane, fact), state in self.facts.items() if lane == order}
            assert held == claim.held
            assert self.newest.get(order) == claim.newest
            assert self.asked[claim.seq] == claim.asked
            self.claims[order] = claim

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), facts=st.dictionaries(FACTS, FINAL, max_size=2))
    def finish(self, data, facts):
        order, claim = self._one(data)
        self._record(order, claim, facts, Done())
        if self.asked[claim.seq] == claim.asked:  # else a person asked for it meanwhile: it is due again
            self.waiting[order].remove(claim.seq)
            del self.asked[claim.seq]
        self.postponed.pop(order, None)
        if not claim.is_stale:
            self.newest[order] = max(claim.envelope.version, self.newest.get(order, claim.envelope.version))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), facts=st.dictionaries(FACTS, FINAL, max_size=1), minutes=st.integers(0, 9))
    def postpone(self, data, facts, minutes):
        order, claim = self._one(data)
        until = self.now + timedelta(minutes=minutes)
        self._record(order, claim, facts, Postponed(until=until, fact="placed", reason=Reason.TIMED_OUT))
        self.postponed[order] = until

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), held=st.booleans())
    def hold(self, data, held):
        """Only while the rule has a hold its lanes wait for it; whoever still believes in one makes them due."""
        order, claim = self._one(data)
        if held:
            hold = Hold(dest="api", rule="a rule", digest="d", since=self.now, detail="422")
            self._do(self.journal.hold(hold))
            self.held = True
        self._record(order, claim, {}, Postponed(until=None, fact="placed", reason=Reason.RULE_HELD, rule="a rule"))
        self.postponed[order] = NEVER if self.held else self.now

    @rule()
    def release(self):
        held = [order for order, until in self.postponed.items() if until is NEVER]
        assert len(held) == self._do(self.journal.release("api", "a rule"))
        for order in held:
            del self.postponed[order]
        self.held = False
        self.now = max(self.now, datetime.now(UTC))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), fact=FACTS)
    def depart(self, data, fact):
        order = data.draw(st.sampled_from(sorted(self.claims)))
        self._record(order, self.claims[order], {fact: State.DEPARTED}, None)

    @precondition(lambda self: any(state is State.DEPARTED for state in self.facts.values()))
    @rule(data=st.data())
    def take_the_mark_back(self, data):
        order, fact = data.draw(st.sampled_from(sorted(k for k, s in self.facts.items() if s is State.DEPARTED)))
        if order in self.claims:
            self._do(self.journal.record(self.claims[order], Progress(released=[(fact, "[]")]), now=self.now))
            del self.facts[order, fact]

    @rule(minutes=st.integers(1, 20))
    def time_passes(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule()
    def crash(self):
        self._do(self.context.__aexit__(None, None, None))
        self.claims.clear()
        for key, state in self.facts.items():
            if state is State.DEPARTED:
                self.facts[key] = State.UNCERTAIN
        self._open()

    @rule(data=st.data())
    def a_person_ends_an_uncertain_fact(self, data):
        key, ref = self._parked(data, State.UNCERTAIN)
        if key:
            assert 1 == self._do(self.journal.settle([ref], State.DROPPED))
            self.facts[key] = State.DROPPED

    @rule(data=st.data())
    def a_person_drops_a_dead_fact(self, data):
        key, ref = self._parked(data, State.DEAD)
        if key:
            assert 1 == self._do(self.journal.drop([ref]))
            self.facts[key] = State.DROPPED

    @rule(data=st.data())
    def a_person_retries_a_dead_fact(self, data):
        key, ref = self._parked(data, State.DEAD)
        if key:
            assert 1 == self._do(self.journal.retry([ref]))
            _, seq = max((version, seq) for (lane, _), (seq, version) in self.known.items() if lane == key[0])
            self._ask(key[0], seq)

    @rule(data=st.data())
    def a_person_sends_an_uncertain_fact_again(self, data):
        key, ref = self._parked(data, State.UNCERTAIN)
        if key:
            seq = self.made_by[key]
            assert 1 == self._do(self.journal.resend([ref]))
            del self.facts[key]
            self._ask(key[0], seq)

    @rule()
    def prune(self):
        """Long after: what waits or is parked keeps its documents, whatever their age."""
        self._do(self.journal.prune(USUAL_RETENTION, now=self.now + timedelta(days=200)))
        for order in self.lanes:
            parked = any(key[0] == order and state in PARKED for key, state in self.facts.items())
            if self.waiting[order] or parked:
                seqs = [seq for (o, _), (seq, _) in self.known.items() if o == order and seq not in self.bodiless]
                assert all(self._do(self.journal.document(seq)).raw for seq in seqs)
            else:
                self.bodiless.update(seq for (o, _), (seq, _) in self.known.items() if o == order)

    @invariant()
    def every_document_is_in_exactly_one_visible_state(self):
        for order, lane in self.lanes.items():
            story = self._do(self.journal.story(lane))
            assert sorted(seq for (o, _), (seq, _) in self.known.items() if o == order) == [
                document["seq"] for document in story.documents
            ]
            assert sorted(self.waiting[order]) == sorted(row["seq"] for row in story.waiting)
            assert {fact: state for (o, fact), state in self.facts.items() if o == order} == {
                row["fact"]: row["state"] for row in story.facts
            }

    def _ask(self, order, seq):
        if seq not in self.waiting[order]:
            self.waiting[order].append(seq)
        self.asked[seq] += 1
        self.postponed.pop(order, None)
        self.now = max(self.now, datetime.now(UTC))

    def _one(self, data):
        order = data.draw(st.sampled_from(sorted(self.claims)))
        return order, self.claims.pop(order)

    def _record(self, order, claim, facts, end):
        settled = [Settled(fact=fact, once="[]", rule=fact, state=state) for fact, state in facts.items()]
        self._do(self.journal.record(claim, Progress(settled=settled, end=end), now=self.now))
        self.facts.update({(order, fact): state for fact, state in facts.items()})
        self.made_by.update({(order, fact): claim.seq for fact in facts})

    def _parked(self, data, state):
        async def found():
            return [fact async for fact in self.journal.parked(Selection(state=state))]

        facts = self._do(found())
        assert {key for key, have in self.facts.items() if have is state} == {(f.order, f.fact) for f in facts}
        if not facts:
            return None, None
        fact = data.draw(st.sampled_from(sorted(facts, key=lambda fact: fact.ref)))
        return (fact.order, fact.fact), fact.ref


class AnyDayInPostgres(AnyDay):
    """The same days; the server is that of the test run."""

    dsn = ""

    def _made(self):
        self.place = place_of(self.dsn, f"day_{uuid.uuid4().hex[:12]}", pool=3)
        self._do(postgres.init(self.place))

    def _opened(self):
        return postgres.opened(self.place, destinations=["api"])


TestAnyDay = AnyDay.TestCase
TestAnyDay.settings = settings(max_examples=25, stateful_step_count=40)


def test_any_day_in_postgres(postgres_server):
    AnyDayInPostgres.dsn = postgres_server
    run_state_machine_as_test(AnyDayInPostgres, settings=settings(max_examples=15, stateful_step_count=40))
