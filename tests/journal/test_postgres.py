"""The journal of many machines: who owns a lane, who has lost it, and what a database that goes away does."""

import asyncio
import re
import signal
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from msgspec import structs

from bridge import clock
from bridge.contract import Reason, State
from bridge.errors import ClaimRevoked, JournalBusy, JournalUnreadable, LaneLost, NotStorable
from bridge.journal import Done, Hold, Postponed, Progress
from bridge.journal.postgres import acting, decisions, init, opened, reading, weaknesses
from bridge.journal.postgres.database import VERSION, connected, statements
from bridge.journal.rows import micros
from tests.clocks import Shifted
from tests.journal.usual import USUAL_RETENTION


@pytest.fixture
async def open_again(postgres_place):
    """Opens another process's journal; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def again(place=postgres_place, **options):
            return await stack.enter_async_context(opened(place, destinations=("api",), **options))

        yield again


async def _until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not (value := await condition()):
            await asyncio.sleep(0.05)
        return value


async def _sql(place, text, *arguments):
    connection = await asyncpg.connect(place.dsn)
    try:
        await connection.execute(f'SET search_path = "{place.schema}"')
        return await connection.fetch(text, *arguments)
    finally:
        await connection.close()


async def _frozen(journal):
    """As a process that was stopped: it renews its lease no more."""
    for task in asyncio.all_tasks():
        if "Lease.keep" in repr(task) and task.get_coro().cr_frame.f_locals["self"] is journal._lease:
            task.cancel()


# -- owners -----------------------------------------------------------------------------------------------------------


async def test_a_lane_is_claimed_by_one_of_many(open_again, desk):
    journals = [await open_again() for _ in range(3)]
    for order in range(60):
        await journals[order % 3].append(desk.document(str(order)))
    claims = await asyncio.gather(*(desk.claims(one, limit=25) for one in journals for _ in range(2)))
    lanes = [claim.lane for some in claims for claim in some]
    assert 60 == len(lanes) == len(set(lanes))


async def test_the_same_delivery_at_two_doors_is_stored_once(open_again, desk):
    first, second = await open_again(), await open_again()
    documents = [desk.document(str(order % 7)) for order in range(100)]
    appended = await asyncio.gather(*(one.append(document) for document in documents for one in (first, second)))
    assert 100 == sum(one.known for one in appended)
    assert 100 == (await first.stats()).envelopes
    assert 7 == (await first.stats()).lanes


async def test_who_has_lost_its_lease_can_neither_mark_nor_settle(open_again, desk):
    slow, other = await open_again(), await open_again()
    await slow.append(desk.document())
    claim = await desk.claim(slow)
    await _frozen(slow)
    again = await _until(lambda: desk.claims(other))
    assert claim.seq == again[0].seq
    for record in (Progress(settled=[desk.fact(State.DEPARTED)]), Progress(settled=[desk.fact()], end=Done())):
        with pytest.raises(LaneLost):
            await slow.record(claim, record, now=desk.now)
    await desk.done(other, again[0], desk.fact())
    assert {"placed": "delivered"} == await desk.states(other, claim.lane)


@pytest.mark.parametrize(("one", "other"), [(4, 0), (0, -4)], ids=["ahead", "behind"])
async def test_a_lane_is_due_for_all_at_one_time_whatever_their_clocks_say(open_again, desk, one, other):
    """A process takes orders in, postpones one, ends a document of another, and is gone. Clocks: minutes ahead."""
    with clock.installed(Shifted(timedelta(minutes=one))):
        first = await open_again()
        for order in ("1001", "1002", "1002", "1003"):
            await first.append(desk.document(order, received_at=clock.now()))
        postponed, ended = await desk.claims(first, at=clock.now(), limit=2)
        end = Postponed(until=clock.now() + timedelta(seconds=1), fact="placed", reason=Reason.NO_ANSWER)
        await desk.record(first, postponed, end=end, at=clock.now())
        await desk.done(first, ended, desk.fact(), at=clock.now())
    claimed = set()
    with clock.installed(Shifted(timedelta(minutes=other))):
        second = await open_again()

        async def all_of_them():
            due = await second.next_due("api")
            assert due is None or due - clock.now() < timedelta(seconds=2)
            claimed.update(claim.lane for claim in await desk.claims(second, at=clock.now()))
            return len(claimed) == 3

        await _until(all_of_them)


async def test_what_had_departed_is_uncertain_when_its_lease_ends(open_again, desk):
    slow, other = await open_again(), await open_again()
    await slow.append(desk.document())
    claim = await desk.claim(slow)
    await desk.record(slow, claim, desk.fact(State.DEPARTED), desk.fact(State.DELIVERED, fact="seen"))
    await _frozen(slow)
    (again,) = await _until(lambda: desk.claims(other))
    assert {("placed", "[]"): State.UNCERTAIN, ("seen", "[]"): State.DELIVERED} == dict(again.held)
    with pytest.raises(LaneLost):
        await desk.done(slow, claim, desk.fact())
    assert "uncertain" == (await desk.states(other, claim.lane))["placed"]


async def test_who_comes_back_after_its_lease_works_on_as_another(open_again, postgres_place, desk):
    journal, other = await open_again(), await open_again()
    await journal.append(desk.document())
    claim = await desk.claim(journal)
    await _sql(postgres_place, "DELETE FROM owner WHERE id = $1", claim.lease)
    await _until(lambda: _told(journal._lease.id not in (0, claim.lease)))
    await _until(lambda: _sql(postgres_place, "SELECT 1 FROM turn WHERE owner IS NULL"))
    with pytest.raises(LaneLost):
        await desk.done(journal, claim, desk.fact())
    owners = await asyncio.gather(desk.claims(journal), desk.claims(other))
    assert [claim.lane] == [found.lane for some in owners for found in some]


async def _told(value):
    return value


async def test_a_claim_that_is_under_way_is_not_taken_for_one_whose_answer_was_lost(open_again, desk, monkeypatch):
    journal = await open_again()
    await journal.append(desk.document())
    claimed, go_on, is_there = journal._claimed, asyncio.Event(), asyncio.Event()

    async def slow(*arguments):
        is_there.set()
        await go_on.wait()
        return await claimed(*arguments)

    monkeypatch.setattr(journal, "_claimed", slow)
    first = asyncio.create_task(desk.claims(journal))
    await is_there.wait()  # the database has given the lane, and its document is still being read
    journal._lease.lost_answer(journal._lease.next_number())  # another claim's
    await journal._lease._renewed()
    monkeypatch.undo()
    assert [] == list(await desk.claims(journal))
    go_on.set()
    (claim,) = await first
    await desk.done(journal, claim, desk.fact())


async def test_of_two_claims_of_one_process_the_later_alone_may_mark_and_settle(open_again, desk, monkeypatch):
    """The answer to the first came, and was taken for lost: its lane was claimed again."""
    journal = await open_again()
    await journal.append(desk.document())
    first = await desk.claim(journal)
    journal._lease.lost_answer(first.number)
    await journal._lease._renewed()
    second = await desk.claim(journal)
    assert (first.lease, first.lane, first.seq) == (second.lease, second.lane, second.seq)
    for record in (Progress(settled=[desk.fact(State.DEPARTED)]), Progress(settled=[desk.fact()], end=Done())):
        with pytest.raises(LaneLost):
            await journal.record(first, record, now=desk.now)
    await desk.record(journal, second, desk.fact(State.DEPARTED))
    await desk.done(journal, second, desk.fact())
    assert {"placed": "delivered"} == await desk.states(journal, second.lane)


async def test_a_connection_cut_after_the_commit_of_a_claim_leaves_no_lane_behind(open_again, desk, monkeypatch):
    """Also where the claim is carried out after the look for lost ones: they are looked for again."""
    journal = await open_again()
    await journal.append(desk.document())
    fetch, cut = journal._database.fetch, []

    async def lost(name, *arguments):
        if name == "claim":
            cut.append(arguments)
            raise JournalBusy("the connection was lost")
        return await fetch(name, *arguments)

    monkeypatch.setattr(journal._database, "fetch", lost)
    with pytest.raises(JournalBusy):
        await desk.claims(journal)
    await journal._lease._renewed()
    monkeypatch.undo()
    assert 1 == len(await fetch("claim", *cut[0]))  # the server had it, and does it only now
    assert 1 == len(await _until(lambda: desk.claims(journal)))


async def test_a_replica_that_still_believes_in_a_hold_leaves_no_lane_waiting(postgres_place, desk):
    told = []

    def released(dest, rule):
        told.append((dest, rule))

    async with (
        opened(replace(postgres_place, poll=timedelta(hours=1)), destinations=("api",), released=released) as late,
        opened(postgres_place, destinations=("api",)) as other,
    ):
        await late.append(desk.document())
        claim = await desk.claim(late)
        await other.hold(Hold(dest="api", rule="placed", digest="d", since=desk.now, detail="422"))
        await other.release("api", "placed")
        held = Postponed(until=None, fact="placed", reason=Reason.RULE_HELD, rule="placed")
        await late.record(claim, Progress(end=held), now=desk.now)
        assert {("api", "placed")} == set(told), "once or twice: by the notification too, if it came by now"
        assert 1 == len(await desk.claims(other))


async def test_what_was_held_while_its_hold_ended_is_freed(postgres_place, open_again, desk):
    """As an older replica leaves it: a lane that waits for a rule that nobody holds."""
    journal = await open_again()
    await journal.append(desk.document())
    await _sql(postgres_place, "UPDATE turn SET held = 'placed', due = 4611686018427387904")
    assert 1 == len(await _until(lambda: desk.claims(journal)))
    await _sql(postgres_place, "UPDATE turn SET held = 'placed', due = 4611686018427387904, owner = NULL")
    assert 1 == await journal.release("api", "placed")


async def test_a_replica_that_nobody_tells_knows_of_a_decision_when_it_is_told_as_done(
    postgres_place, open_again, desk, monkeypatch
):
    """It hears no notification and looks only when it must: whoever decides waits so long."""
    monkeypatch.setattr(decisions, "_YOUNG", 0.3)
    monkeypatch.setattr(decisions, "_LOOKS", 10)
    deaf = await open_again(replace(postgres_place, listen=False, poll=timedelta(hours=1)))
    await desk.carry(deaf, desk.document(), desk.fact(State.DEAD, reason=Reason.REFUSED))
    await deaf.append(desk.document())
    claim = await desk.claim(deaf)
    await deaf.confirm(claim)
    async with acting(postgres_place) as person:
        (fact,) = await desk.parked(person)
        assert 1 == await person.drop([fact.ref])
    with pytest.raises(ClaimRevoked):
        await deaf.confirm(claim)
    with pytest.raises(ClaimRevoked):
        await desk.record(deaf, claim, desk.fact(State.DEPARTED))


async def test_a_decision_meets_a_claim_that_is_just_being_made(postgres_place, open_again, desk, monkeypatch):
    """Whichever of the two is committed first: the claim is revoked, or knows."""
    journal = await open_again()
    await desk.carry(journal, desk.document(), desk.fact(State.DEAD, reason=Reason.REFUSED))
    (fact,) = await desk.parked(journal)
    await journal.append(desk.document())
    other = await asyncpg.connect(postgres_place.dsn)
    claiming = other.transaction()
    await claiming.start()
    owner, number = journal._lease.id, journal._lease.next_number()
    sql = statements(postgres_place.schema)["claim"]
    (row,) = await other.fetch(sql, "api", micros(desk.later), 10, 1 << 30, owner, number)
    monkeypatch.setattr(decisions, "_LOOKS", 1)
    dropping = asyncio.create_task(journal.drop([fact.ref]))
    await _until(lambda: _waits_for_a_lock(postgres_place))
    await claiming.commit()
    await other.close()
    assert 1 == await dropping
    await _until(lambda: _told((row["lane"], number) in journal.revoked("api")))


async def _waits_for_a_lock(place):
    return await _sql(place, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%turn%'")


async def test_a_claim_of_a_lease_that_has_ended_is_not_confirmed(open_again, postgres_place, desk):
    journal = await open_again()
    await journal.append(desk.document())
    claim = await desk.claim(journal)
    await _sql(postgres_place, "DELETE FROM owner WHERE id = $1", claim.lease)
    await _until(lambda: _told(journal._lease.id not in (0, claim.lease)))
    await _until(lambda: _sql(postgres_place, "SELECT 1 FROM turn WHERE owner IS NULL"))
    with pytest.raises(LaneLost):
        await journal.confirm(claim)


async def test_a_rule_that_is_held_while_it_is_looked_who_holds_stays_held(open_again, desk, monkeypatch):
    """The answer is older than the hold: it says nothing of it."""
    journal = await open_again()
    holds = journal.holds

    async def slow():
        found = await holds()
        await journal.hold(Hold(dest="api", rule="placed", digest="d", since=desk.now, detail="422"))
        return found

    told = []
    monkeypatch.setattr(journal, "_released", lambda *rule: told.append(rule))
    monkeypatch.setattr(journal, "holds", slow)
    await journal._learn_releases()
    monkeypatch.setattr(journal, "holds", holds)
    assert [] == told
    await journal._learn_releases()
    assert [] == told
    await journal.release("api", "placed")
    await journal._learn_releases()
    assert [("api", "placed")] == told[:1]


async def test_a_claim_whose_answer_was_lost_is_free_again(open_again, desk, monkeypatch):
    journal = await open_again()
    await journal.append(desk.document())
    fetch = journal._database.fetch

    async def lost(name, *arguments):
        rows = await fetch(name, *arguments)
        if name == "claim":
            raise JournalBusy("the connection was lost")
        return rows

    monkeypatch.setattr(journal._database, "fetch", lost)
    with pytest.raises(JournalBusy):
        await desk.claims(journal)
    monkeypatch.undo()
    assert 1 == len(await _until(lambda: desk.claims(journal)))


async def test_a_replica_that_leaves_gives_its_lanes_back_at_once(postgres_place, open_again, desk):
    other = await open_again()
    async with opened(replace(postgres_place, lease=timedelta(hours=1)), destinations=("api",)) as leaving:
        await leaving.append(desk.document())
        await desk.claim(leaving)
        assert [] == list(await desk.claims(other))
    assert 1 == len(await desk.claims(other))


# -- waking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listen", [True, False])
async def test_what_one_takes_in_wakes_the_others(postgres_place, open_again, desk, listen):
    place = replace(postgres_place, listen=listen, poll=timedelta(hours=1) if listen else timedelta(seconds=0.2))
    here, there = await open_again(place), await open_again(place)
    woken = asyncio.Event()
    there.watch("api", woken.set)
    await asyncio.sleep(0.3)
    woken.clear()
    await here.append(desk.document())
    async with asyncio.timeout(10):
        await woken.wait()
    assert 1 == len(await desk.claims(there))


async def test_a_rule_that_a_person_released_is_released_everywhere(postgres_place, open_again, desk):
    released = []
    journal = await open_again(released=lambda dest, rule: released.append((dest, rule)))
    await journal.hold(Hold(dest="api", rule="placed", digest="abc", since=desk.now, detail="422"))
    async with acting(postgres_place) as person:
        await person.release("api", "placed")
    assert [("api", "placed")] == await _until(lambda: _told(released))


# -- the database -----------------------------------------------------------------------------------------------------


async def test_a_schema_that_is_none_is_refused_with_the_cure(postgres_place):
    nowhere = replace(postgres_place, schema="nowhere")
    with pytest.raises(JournalUnreadable, match="run `attribution-bridge journal init`"):
        async with reading(nowhere):
            pass


async def test_a_newer_journal_is_refused(postgres_place):
    await _sql(postgres_place, "UPDATE meta SET value = '99' WHERE name = 'version'")
    with pytest.raises(JournalUnreadable, match=f"version 99, this one knows {VERSION}"):
        async with opened(postgres_place, destinations=()):
            pass
    with pytest.raises(JournalUnreadable, match="newer"):
        await init(postgres_place)


_FIRST_VERSION = (
    "ALTER TABLE fact DROP COLUMN amount",
    "DROP TABLE memory",
    "DROP TABLE blocked",
    "DROP TABLE former",
    "DROP TABLE position",
    "ALTER TABLE turn DROP COLUMN claim",
    "ALTER TABLE envelope DROP COLUMN came",
    "ALTER TABLE turn DROP COLUMN revoked",
    "UPDATE meta SET value = '1' WHERE name = 'version'",
)


async def test_a_journal_of_the_first_version_is_brought_on_once_while_an_older_replica_works(postgres_place, desk):
    async with opened(postgres_place, destinations=("api",)) as older:
        appended = await older.append(desk.document())
        for text in _FIRST_VERSION:
            await _sql(postgres_place, text)
        with pytest.raises(
            JournalUnreadable, match=rf"version 1, this bridge works with {VERSION}: run `.* journal init`"
        ):
            async with opened(postgres_place, destinations=("api",)):
                pass
        made = await asyncio.gather(*(init(postgres_place) for _ in range(4)))
        assert 1 == sum(made)
        await _sql(
            postgres_place,  # as a bridge of the first version writes it
            "INSERT INTO fact (lane, dest, fact, once, state, seq, rule, settled, attempt, reason, detail) "
            "VALUES (1, 'api', 'placed', '[]', 'delivered', 1, 'r', 1, 1, '', '')",
        )
    async with opened(postgres_place, destinations=("api",)) as journal:
        claim = await desk.claim(journal)
        assert appended.seq == claim.seq
        assert {("placed", "[]"): State.DELIVERED} == claim.held


async def test_many_migrators_make_one_journal(postgres_place):
    fresh = replace(postgres_place, schema=f"{postgres_place.schema}_more")
    assert 1 == sum(await asyncio.gather(*(init(fresh) for _ in range(5))))


async def test_without_a_database_it_says_so_and_no_password(postgres_place):
    nowhere = replace(postgres_place, dsn="postgres://someone:geheim@127.0.0.1:1/nowhere")
    with pytest.raises(JournalBusy, match="no connection") as told:
        async with opened(nowhere, destinations=()):
            pass
    assert "geheim" not in f"{told.value!r}{nowhere!r}"


async def test_a_text_that_postgres_cannot_hold_is_kept_without_what_it_cannot(open_again, desk):
    journal = await open_again()
    appended = await journal.append(desk.document("a\0b", id="x\0y"))
    claim = await desk.claim(journal)
    await desk.done(journal, claim, desk.fact(State.DEAD, reason=Reason.REFUSED, detail="\0 \ud800"))
    (fact,) = (await journal.story(appended.lane)).facts
    assert "\ufffd ?" == fact["detail"]
    assert [appended.lane] == list(await journal.find("a\0b"))


async def test_one_that_cannot_be_stored_takes_no_other_with_it(open_again, desk):
    journal = await open_again()
    wrong = desk.document("1", received_at=desk.now.replace(year=9999), raw=b"x")
    answers = await asyncio.gather(
        journal.append(structs.replace(wrong, kind=5)), journal.append(desk.document("2")), return_exceptions=True
    )
    assert [True, False] == [isinstance(answer, Exception) for answer in answers]


async def test_a_database_that_is_killed_and_comes_back_has_all_that_was_confirmed(make_postgres, tmp_path, desk):
    from tests.postgres import new_place  # noqa: PLC0415

    server = make_postgres()
    place = await asyncio.to_thread(new_place, server.dsn)
    async with opened(place, destinations=("api",)) as journal:
        first = await journal.append(desk.document("1"))
        claim = await desk.claim(journal)
        await asyncio.to_thread(server.signal, signal.SIGQUIT)
        with pytest.raises(JournalBusy):
            await journal.append(desk.document("2"))
        with pytest.raises(JournalBusy):
            await desk.claims(journal)
        await _until(lambda: _told(journal.refuses()))
        await asyncio.to_thread(server.start)
        await _until(lambda: _told(journal.refuses() is None))
        assert first.known is False
        assert (await journal.document(first.seq)).raw
        await desk.done(journal, claim, desk.fact())
        await journal.append(desk.document("2"))
        assert ["2"] == [found.envelope.lane for found in await desk.claims(journal)]


async def test_plans_are_those_for_few_rows_whatever_the_planner_believes(postgres_place):
    for listen, wanted in ((True, "off"), (False, "on")):
        async with connected(replace(postgres_place, listen=listen)) as database, database.connection() as connection:
            for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
                assert wanted == await connection.fetchval(f"SHOW {setting}")


async def test_a_step_of_forgetting_looks_at_one_page_of_bodies(postgres_place, open_again, desk):
    async with opened(postgres_place, destinations=("api",)) as journal:
        await asyncio.gather(*(journal.append(desk.document(str(number))) for number in range(400)))
    sql = statements(postgres_place.schema)["old_bodies"]
    async with connected(postgres_place) as database, database.connection() as connection:
        plan = "\n".join(line for (line,) in await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", 0, 10))
    looked = [int(rows.partition(".")[0]) for rows in re.findall(r"actual rows=([\d.]+)", plan)]
    assert max(looked) <= 10, plan


async def test_no_statement_of_the_hot_path_scans(postgres_place, open_again, desk):
    """By its plan: with sequential scans made dear, none is left, so an index serves each."""
    sql = statements(postgres_place.schema)
    questions = {
        "claim": ("api", 0, 10, 1000, 1, 1),
        "owned": (["api"], [1], [1], 1),
        "next_due": ("api",),
        "documents": ([1], [1]),
        "held_facts": ("api", [1]),
        "newest": ("api", [1]),
        "known": ([1], ["x"]),
        "lanes": (["t"], ["n"], [1], [b"x"]),
        "finish": (["api"], [1], [1], [0], [1]),
        "postpone": (["api"], [1], [1], [1], [None]),
        "parked": ("dead", 0, "", "", "", 10),
        "ended_in_flight": (1,),
        "freed": (),
    }
    connection = await asyncpg.connect(postgres_place.dsn)
    try:
        await connection.execute("SET enable_seqscan = off")
        for name, arguments in questions.items():
            plan = await connection.fetch(f"EXPLAIN {sql[name]}", *arguments)
            assert not [line for (line,) in plan if "Seq Scan" in line], (name, plan)
    finally:
        await connection.close()


def test_after_the_claim_every_statement_names_its_lanes():
    """So that tables can be spread by lane."""
    after = ("documents", "held_facts", "newest", "owned", "drop_facts", "put_facts", "put_verdicts", "put_versions")
    after += ("put_attempts", "first_attempts", "postpone", "finish", "known", "add_documents", "free")
    for name in after:
        text = statements("bridge")[name]
        tables = set(re.findall(r'(?:FROM|JOIN|INTO|UPDATE) "bridge"\.(\w+)', text))
        assert tables
        assert re.search(r"\blane = (w|e|g|f|t|excluded|ANY)\b|\(lane, |\(dest, lane|l\.n = w\.lane|= w\.lane", text), (
            name
        )


async def test_the_roles_of_the_page_are_enough_and_make_no_tables(postgres_place, desk):
    """The grants as docs/scaling.md shows them, for a role that owns nothing."""
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
    (grants,) = re.findall(r"```sql\n(GRANT.*?)```", page, flags=re.DOTALL)
    role = f"role_{postgres_place.schema}"
    await _sql(postgres_place, f'CREATE ROLE "{role}" LOGIN')
    named = grants.replace("SCHEMA bridge", f'SCHEMA "{postgres_place.schema}"').replace("TO bridge", f'TO "{role}"')
    for grant in named.strip().split(";"):
        if grant.strip():
            await _sql(postgres_place, grant)
    narrow = replace(postgres_place, dsn=postgres_place.dsn.replace("//postgres:@", f"//{role}:@"))
    if narrow.dsn == postgres_place.dsn:
        pytest.skip("POSTGRES_URL names another user than postgres without a password")
    async with opened(narrow, destinations=("api",)) as journal:
        appended = await desk.carry(journal, desk.document(), desk.fact())
        assert {"placed": "delivered"} == await desk.states(journal, appended.lane)
        await journal.hold(Hold(dest="api", rule="r", digest="d", since=desk.now, detail=""))
        assert 0 == await journal.release("api", "r")
        assert 1 == (await journal.prune(USUAL_RETENTION, now=desk.later)).bodies
    with pytest.raises(JournalUnreadable, match="may not make the schema"):
        await init(replace(narrow, schema=f"{postgres_place.schema}_more"))


# -- what a database was told -----------------------------------------------------------------------------------------


@pytest.fixture
async def own_database(postgres_place):
    """Makes a database that was told something, and names a journal in it; it is dropped at the end."""
    made = []

    async def make(told="", setting=""):
        name = f"told_{uuid.uuid4().hex[:8]}"
        made.append(name)
        await _sql(postgres_place, f"CREATE DATABASE {name} {told}")
        if setting:
            await _sql(postgres_place, f"ALTER DATABASE {name} SET {setting}")
        parts = urlsplit(postgres_place.dsn)
        return replace(postgres_place, dsn=urlunsplit(parts._replace(path=f"/{name}")))

    yield make
    for name in made:
        await _sql(postgres_place, f"DROP DATABASE {name} WITH (FORCE)")


async def _commits(journal):
    async with journal._database.connection() as connection:
        return await connection.fetchval("SHOW synchronous_commit")


@pytest.mark.parametrize(
    ("setting", "used"), [("off", "on"), ("local", "on"), ("remote_write", "on"), ("on", "on"), ("remote_apply",) * 2]
)
async def test_commits_wait_for_the_disk_whatever_the_database_was_told(own_database, open_again, setting, used, log):
    place = await own_database(setting=f"synchronous_commit = {setting}")
    await init(place)
    journal = await open_again(place)
    assert used == await _commits(journal)
    weak = [line["detail"] for line in log() if line["event"] == "journal.weak"]
    assert (setting == used) == (weak == [])
    assert all(f"synchronous_commit is {setting}" in sentence for sentence in weak)
    assert weak == list(await weaknesses(place))


async def test_behind_a_pooler_commits_that_do_not_wait_are_refused(own_database):
    place = replace(await own_database(setting="synchronous_commit = off"), listen=False)
    await init(place)
    with pytest.raises(JournalUnreadable, match="ALTER ROLE name SET synchronous_commit = on"):
        async with opened(place, destinations=("api",)):
            pass


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_letter_is_refused(own_database, encoding):
    place = await own_database(told=f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(JournalUnreadable, match=f"encoding is {encoding}, and a journal needs UTF8"):
        await init(place)


# -- what a database refuses ------------------------------------------------------------------------------------------


async def test_what_the_database_refuses_for_its_content_is_no_passing_fault_and_takes_no_other_with_it(
    open_again, postgres_place, desk
):
    journal = await open_again()
    for order in ("1", "2"):
        await journal.append(desk.document(order))
    first, second = await desk.claims(journal)
    await _sql(postgres_place, "ALTER TABLE fact ADD CHECK (detail <> 'unheard of')")
    answers = await asyncio.gather(
        journal.record(first, Progress(settled=[desk.fact(detail="unheard of")], end=Done()), now=desk.now),
        journal.record(second, Progress(settled=[desk.fact()], end=Done()), now=desk.now),
        return_exceptions=True,
    )
    assert [NotStorable, type(None)] == [type(answer) for answer in answers]
    assert "unheard" not in str(answers[0])


@pytest.mark.parametrize("is_there", [False, True])
async def test_a_role_that_may_not_make_the_journal_is_told_which_right_it_lacks(postgres_place, is_there):
    role, schema = f"reader_{uuid.uuid4().hex[:12]}", f"{postgres_place.schema}_others"
    await _sql(postgres_place, f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    if is_there:
        await _sql(postgres_place, f'CREATE SCHEMA "{schema}"')
    right = f"USAGE, CREATE ON SCHEMA {schema}" if is_there else "CREATE ON DATABASE .*"
    poor = replace(postgres_place, dsn=_as(postgres_place.dsn, role), schema=schema)
    with pytest.raises(JournalUnreadable, match=f"the role {role} may not make .*: .* GRANT {right} TO {role}, or"):
        await init(poor)


def _as(dsn, role):
    """The same database for another role."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}:p@{parts.netloc.rpartition('@')[2]}"))
