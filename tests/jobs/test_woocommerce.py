"""WooCommerce asked beside the orders: what never came is taken in once, webhooks are mended, and what is wrong is
named with its cure."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from bridge.cli.sender import example
from bridge.config import read
from bridge.errors import ErrandFailed, NoAnswer
from bridge.fact_names import united_names
from bridge.jobs.account import Accountant
from bridge.jobs.reconciliation import Reconciliation
from bridge.journal.sqlite import opened
from connectors.woocommerce.admin import ADMIN
from tests.jobs.shop import Fault
from tests.jobs.woocommerce_shop import serving

SHOP = "shop.example.com"
HERE = "http://127.0.0.1:9/webhooks/shop"
TOPICS = {"order.created", "order.updated"}
NOW = datetime(2026, 11, 20, 13, 30, tzinfo=UTC)
STILL = ", upkeep: {subscriptions: leave, reconcile: false}"
ENVIRON = {
    "WOO_SECRET": "wc-test-secret-0042",
    "HELLOTEXT_TOKEN": "token-of-the-tests",
    "WOO_KEY": "ck_1",
    "WOO_KEY_SECRET": "cs_1",
}
SOURCE = """
sources:
  shop:
    connector: woocommerce
    address: "{address}"
    shops:
      shop.example.com:
        secrets: [env:WOO_SECRET]
        access: {{key: env:WOO_KEY, secret: env:WOO_KEY_SECRET, url: "{url}"{access}}}
    {upkeep}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{api}", session_patience: 300ms}}
journal: {{path: "{path}", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: {port}}}
private: {{port: 0}}
delivery: {{first_wait: 10ms, longest_wait: 50ms, grace: 5s}}
include: [woocommerce/default]
"""


@pytest.fixture
async def fake():
    async with serving() as shop:
        yield shop


@pytest.fixture
def text_of(fake, tmp_path):
    def make(*, environ=ENVIRON, access="", address=HERE, upkeep="", api="http://127.0.0.1:9", port=0):
        return SOURCE.format(
            access=access,
            address=address,
            upkeep=upkeep,
            url=fake.url,
            api=api,
            port=port,
            path=tmp_path / "journal.db",
        )

    return make


@pytest.fixture
def settings_of(text_of):
    return lambda *, environ=ENVIRON, **more: read(text_of(**more), environ=environ)


@pytest.fixture
def errands(settings_of):
    return lambda **more: ADMIN("shop", settings_of(**more).sources["shop"])


@pytest.fixture
def put(fake):
    """Orders of the shop, a minute between their changes, the last one at NOW."""
    document = json.loads(example("woocommerce", "order.json"))

    def make(count, *, every=timedelta(minutes=1), upto=NOW, **changes):
        return [
            fake.put({**document, "id": number, "number": str(number), **changes}, at=upto - every * (count - number))
            for number in range(1, count + 1)
        ]

    return make


@pytest.fixture
async def journal(tmp_path):
    async with opened(tmp_path / "other.db", destinations=("hellotext",)) as found:
        yield found


@pytest.fixture
def reconciled(journal, errands, do):
    async def make(*, since=NOW - timedelta(days=1), until=NOW, mark="", **more):
        work = Reconciliation(journal=journal, source="shop", tenant=SHOP, mark=mark)
        admin = errands(**more)
        watched = _Watched(admin, do)
        return await work.made(watched, do.performer, since=since, until=until, now=datetime.now(UTC))

    return make


class _Watched:
    """An Admin whose waits are noted instead of waited."""

    def __init__(self, admin, do):
        self._admin, self._do = admin, do

    def documents(self, tenant, **span):
        return self._do._watched(self._admin.documents(tenant, **span))


def _counts(tally):
    return tally.found, tally.already, tally.missing, tally.newer


# -- orders ------------------------------------------------------------------------------------------------------------


async def test_what_is_missing_is_taken_in_and_once_more_finds_it_there(fake, put, reconciled, journal):
    put(120)
    assert (120, 0, 120, 0) == _counts(await reconciled(mark="mark"))
    assert NOW.isoformat() == await journal.recall("mark")
    assert (120, 120, 0, 0) == _counts(await reconciled())
    assert 120 == (await journal.stats()).envelopes
    assert all("dates_are_gmt=true" in path for _, path, _ in fake.asked)


async def test_only_newer_documents_of_known_orders_are_taken_in(fake, put, reconciled, journal):
    first, second = put(2)
    await reconciled()
    fake.put(second | {"status": "completed"}, at=NOW + timedelta(minutes=5))
    assert (2, 1, 0, 1) == _counts(await reconciled(until=NOW + timedelta(hours=1)))
    assert 1 == len((await journal.story((await journal.find(str(first["id"])))[0])).documents)


async def test_both_ends_of_the_time_asked_for_are_in_it(fake, put, reconciled):
    put(5)
    assert 3 == (await reconciled(since=NOW - timedelta(minutes=3), until=NOW - timedelta(minutes=1))).missing


async def test_an_order_that_changes_while_pages_are_read_hides_no_other(fake, put, errands, do):
    """The first order leaves the list after the first page, and all behind it move up by one."""
    orders = put(120, every=timedelta(seconds=20))
    moved = iter(orders[:1])

    def between():
        for order in moved:
            fake.put(order, at=NOW + timedelta(hours=1))

    fake.between = between
    await do(errands().documents(SHOP, since=NOW - timedelta(days=1), until=NOW, now=NOW))
    assert {str(order["id"]) for order in orders[1:]} == {document.lane for document in do.documents}
    assert len(do.documents) == len({document.lane for document in do.documents})


async def test_many_orders_are_read_in_spans_and_progress_is_told_after_each(fake, put, errands, do):
    put(1200, every=timedelta(seconds=10))
    await do(errands().documents(SHOP, since=NOW - timedelta(days=1), until=NOW, now=NOW))
    assert [str(number) for number in range(1, 1201)] == sorted((d.lane for d in do.documents), key=int)
    ends = [page.upto for page in do.pages]
    assert 3 <= len(ends)
    assert sorted(ends) == ends
    assert NOW == ends[-1]


async def test_more_orders_of_one_second_than_a_span_may_have_are_read_all_the_same(fake, put, errands, do):
    put(600, every=timedelta())
    await do(errands().documents(SHOP, since=NOW - timedelta(minutes=1), until=NOW, now=NOW))
    assert 600 == len({document.lane for document in do.documents})


async def test_an_order_that_cannot_be_read_keeps_no_other_out(fake, put, errands, do):
    put(2)
    fake.orders[1]["currency"] = None
    await do(errands().documents(SHOP, since=NOW - timedelta(days=1), until=NOW, now=NOW))
    assert ["2"] == [document.lane for document in do.documents]
    assert "cannot be read" in do.notes[0]


async def test_an_order_in_the_bin_is_not_read(fake, put, errands, do):
    put(2)
    fake.orders[1]["status"] = "trash"
    await do(errands().documents(SHOP, since=NOW - timedelta(days=1), until=NOW, now=NOW))
    assert ["2"] == [document.lane for document in do.documents]


async def test_the_key_can_go_in_the_query_where_the_host_takes_the_header_away(fake, put, errands, do):
    put(1)
    fake.takes_header = False
    span = {"since": NOW - timedelta(days=1), "until": NOW, "now": NOW}
    with pytest.raises(ErrandFailed, match="send: query"):
        await do(errands().documents(SHOP, **span))
    await do(errands(access=", send: query").documents(SHOP, **span))
    assert ["1"] == [document.lane for document in do.documents]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": ("ck_2", "cs_2")}, r"401 \(woocommerce_rest_authentication_error\): the key is not accepted"),
        ({"faults": [Fault(status=403)]}, "403: the key may not do this, or a firewall"),
        ({"faults": [Fault(status=404, body=b"<html>")]}, "404: there is no API at this address"),
        ({"faults": [Fault(status=301, headers={"Location": "https://www.example.com/x?y"})]}, "www.example.com: name"),
        ({"faults": [Fault(body=b"<html>soon</html>")]}, "no list: is a security plugin"),
        ({"headers_lost": True}, "no X-WP-Total"),
        ({"ignores_spans": True}, "too old"),
        ({"faults": [Fault(status=500)] * 6}, "500 6 times running"),
    ],
)
async def test_what_the_shop_refuses_is_said_with_what_to_do(fake, put, errands, do, change, said):
    put(2)
    for name, value in change.items():
        setattr(fake, name, list(value) if name == "faults" else value)
    span = {"since": NOW - timedelta(seconds=30), "until": NOW, "now": NOW}
    with pytest.raises(ErrandFailed, match=said) as told:
        await do(errands().documents(SHOP, **span))
    assert "cs_1" not in str(told.value)


async def test_a_busy_shop_is_waited_for_as_long_as_it_says_and_no_longer_than_two_minutes(fake, put, errands, do):
    put(1)
    in_a_minute = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    fake.faults = [
        Fault(status=429, headers={"Retry-After": "7"}),
        Fault(status=503, headers={"Retry-After": "90000"}),
        Fault(status=503, headers={"Retry-After": in_a_minute}),
        Fault(status=502),
        Fault(reset=True),
    ]
    await do(errands().documents(SHOP, since=NOW - timedelta(days=1), until=NOW, now=NOW))
    spans = [span.total_seconds() for span, _ in do.waits]
    assert [7, 120] == spans[:2]
    assert 50 <= spans[2] <= 61
    assert ["1"] == [document.lane for document in do.documents]


# -- webhooks ----------------------------------------------------------------------------------------------------------


def _subscribe(errands, *, dry_run=False, elsewhere=True, kinds=("order",), **more):
    return errands(**more).subscribe(SHOP, kinds=kinds, dry_run=dry_run, elsewhere=elsewhere)


def _told(findings):
    return {(finding.subject.removeprefix("webhook "), finding.state) for finding in findings}


def _there(fake):
    return {(made["topic"], made["delivery_url"], made["status"]) for made in fake.webhooks.values()}


async def test_an_empty_shop_gets_what_the_rules_need_and_once_more_changes_nothing(fake, errands, do):
    assert {(topic, "mended") for topic in TOPICS} == _told(await do(_subscribe(errands)))
    assert {(topic, HERE, "active") for topic in TOPICS} == _there(fake)
    assert {"wc-test-secret-0042"} == {made["secret"] for made in fake.webhooks.values()}
    fake.asked.clear()
    assert {"well"} == {state for _, state in _told(await do(_subscribe(errands)))}
    assert {"GET"} == {method for method, *_ in fake.asked}


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(fake, errands, do):
    fake.subscribe("order.deleted", HERE)
    assert ("order.deleted", "would") in _told(await do(_subscribe(errands, dry_run=True)))
    assert {"order.deleted"} == {topic for topic, *_ in _there(fake)}


async def test_one_that_the_shop_switched_off_is_made_anew(fake, errands, do):
    await do(_subscribe(errands))
    (first, _) = fake.webhooks
    fake.webhooks[first] |= {"status": "disabled", "failures": 7}
    findings = await do(_subscribe(errands))
    assert ("order.created", "mended") in _told(findings)
    assert {(topic, HERE, "active") for topic in TOPICS} == _there(fake)
    assert {0} == {made["failures"] for made in fake.webhooks.values()}


async def test_one_that_somebody_paused_stays_paused_and_is_told(fake, errands, do):
    await do(_subscribe(errands))
    (first, _) = fake.webhooks
    fake.webhooks[first]["status"] = "paused"
    (paused,) = [finding for finding in await do(_subscribe(errands)) if finding.state == "wrong"]
    assert ("somebody paused it", True) == (paused.detail, "Active" in paused.cure)
    assert "paused" == fake.webhooks[first]["status"]


async def test_a_second_one_for_a_topic_is_deleted_and_one_of_ours_elsewhere_is_corrected(fake, errands, do):
    fake.subscribe("order.created", HERE)
    fake.subscribe("order.created", HERE)
    fake.subscribe("order.updated", "https://old.example.com/webhooks/shop")
    assert ("order.updated", "other") in _told(await do(_subscribe(errands, dry_run=True, elsewhere=False)))
    await do(_subscribe(errands))
    assert {(topic, HERE, "active") for topic in TOPICS} == _there(fake)
    assert 2 == len(fake.webhooks)


async def test_those_of_others_are_listed_and_left(fake, errands, do):
    fake.subscribe("order.updated", "https://other.example.com/", name="ERP")
    assert ("order.updated", "other") in _told(await do(_subscribe(errands)))
    assert 3 == len(fake.webhooks)


async def test_a_key_that_may_only_read_is_told_for_each(fake, errands, do):
    fake.permissions = "read"
    findings = await do(_subscribe(errands))
    assert {"wrong"} == {finding.state for finding in findings}
    assert 0 == len(fake.webhooks)


async def test_silence_after_a_change_ends_it_and_the_next_turn_goes_on(fake, errands, do):
    listed = Fault(body=b"[]", headers={"X-WP-Total": "0", "X-WP-TotalPages": "0"})
    fake.faults = [listed, Fault(reset=True)]
    with pytest.raises(NoAnswer):
        await do(_subscribe(errands))
    assert 1 == sum(method == "POST" for method, *_ in fake.asked)
    await do(_subscribe(errands))
    assert {(topic, HERE, "active") for topic in TOPICS} == _there(fake)


async def test_deletions_are_subscribed_to_for_rules_that_read_them_and_topics_that_are_named(fake, errands, do):
    await do(_subscribe(errands, kinds=("order", "order_deletion"), upkeep="upkeep: {topics: [order.restored]}"))
    assert {*TOPICS, "order.deleted", "order.restored"} == {topic for topic, *_ in _there(fake)}


# -- doctor ------------------------------------------------------------------------------------------------------------


def _states(findings):
    return {finding.subject: finding.state for finding in findings}


def _examined(errands, **more):
    return errands(**more).examine(SHOP, kinds=("order",), now=datetime.now(UTC))


async def test_where_all_is_well_the_doctor_says_so_line_by_line(fake, running, settings_of, do, errands, free_port):
    port = free_port()
    address = f"http://127.0.0.1:{port}/webhooks/shop"
    async with running(settings_of(port=port, address=address, upkeep=STILL.lstrip(", "))) as bridge:
        await do(_subscribe(errands, address=address))
        findings = await do(_examined(errands, address=address))
        assert dict.fromkeys(("key", "clock", "webhooks", "address", "secret"), "well") == _states(findings)
        assert [200, 200] == fake.pings
        assert 0 == (await bridge.house.journal.stats()).envelopes


async def test_each_thing_that_is_wrong_has_its_cure(fake, running, settings_of, do, errands, free_port):
    port = free_port()
    address = f"http://127.0.0.1:{port}/webhooks/shop"
    fake.skew = timedelta(minutes=3)
    another = settings_of(
        environ={**ENVIRON, "WOO_SECRET": "another"}, port=port, address=address, upkeep=STILL.lstrip(", ")
    )
    async with running(another):
        findings = await do(_examined(errands, address=address))
    wrong = {finding.subject: finding for finding in findings if finding.state == "wrong"}
    assert {"clock", "webhooks", "secret"} == set(wrong)
    assert all(finding.cure for finding in wrong.values())
    assert "woocommerce subscribe" in wrong["webhooks"].cure


async def test_a_wrong_key_an_unreachable_shop_and_an_address_of_somebody_else_are_seen(fake, errands, do):
    fake.key = ("ck_2", "cs_2")
    states = _states(await do(_examined(errands, address=f"{fake.url}/webhooks/shop")))
    assert {"key": "wrong", "address": "wrong"} == states
    fake.faults = [Fault(reset=True)] * 6
    assert "wrong" == _states(await do(_examined(errands)))["shop"]


# -- the account, and inside run ---------------------------------------------------------------------------------------


async def test_the_account_agrees_to_the_cent_and_names_what_never_came(
    fake, put, running, settings_of, sandbox, errands, do
):
    now = datetime.now(UTC)
    recent = (now - timedelta(minutes=2)).replace(microsecond=0, tzinfo=None).isoformat()
    first, *_ = put(2, upto=now - timedelta(minutes=1), date_created_gmt=recent, date_paid_gmt=recent)
    async with running(settings_of(api=sandbox, upkeep=STILL.lstrip(", "))) as bridge:
        status, _ = await bridge.post(json.dumps(first).encode(), topic="order.updated")
        assert 200 == status
        await bridge.settled("1")

        async def account():
            work = Accountant(
                journal=bridge.house.journal,
                rules=bridge.settings.rules,
                outlets=bridge.settings.destinations,
                source="shop",
                tenant=SHOP,
                united=await united_names(bridge.house.journal),
            )
            watched = _Watched(errands(), do)
            return await work.made(watched, do.performer, since=now - timedelta(days=1), until=now, now=now)

        found = await account()
        assert {("2", "missing")} == {(one.order, one.sort) for one in found.differences}
        work = Reconciliation(journal=bridge.house.journal, source="shop", tenant=SHOP)
        await work.made(_Watched(errands(), do), do.performer, since=now - timedelta(days=1), until=now, now=now)
        await bridge.settled("2")
        found = await account()
        assert found.is_even()
        lines = {fact: line for (_, _, fact), line in found.lines.items()}
        assert "243.50" == str(lines["order.placed"].taken["EUR"])


async def test_run_subscribes_and_reconciles_by_itself(fake, put, running, settings_of, sandbox, free_port):
    now = datetime.now(UTC)
    put(3, upto=now - timedelta(minutes=1), date_created_gmt=now.replace(tzinfo=None).isoformat(timespec="seconds"))
    port = free_port()
    async with running(settings_of(api=sandbox, port=port, address=f"http://127.0.0.1:{port}/webhooks/shop")) as bridge:

        async def all_there():
            return 3 == (await bridge.house.journal.stats()).envelopes and 2 == len(fake.webhooks)

        await bridge.until(all_there)
        for number in (1, 2, 3):
            await bridge.settled(str(number))
        order = fake.put(json.loads(example("woocommerce", "order.json")) | {"id": 4}, at=now)
        assert [200] == await fake.deliver(bridge.session, "order.updated", order)
