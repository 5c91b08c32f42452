"""What a shop is asked: pages, limits, refusals, tokens, and GraphQL's documents beside REST's."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from bridge.contract import Reason
from bridge.errors import ErrandFailed, NoAnswer
from tests.jobs.conftest import ENVIRON, GRANTED, NOW
from tests.jobs.shop import Fault

SHOP = "example.myshopify.com"
DAY = timedelta(days=1)


def _documents(errands, *, since=NOW - DAY, until=NOW):
    return errands.documents(SHOP, since=since, until=until, now=NOW)


def _lanes(documents):
    return [document.lane for document in documents]


@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_every_page_is_read_the_oldest_change_first(fake, errands, do, put, how):
    orders = put(7)
    fake.page = 3
    await do(_documents(errands(upkeep=f", orders: {how}")))
    assert [str(order["id"]) for order in orders] == _lanes(do.documents)
    assert 3 == len(do.pages)
    assert [NOW - timedelta(minutes=4), NOW - timedelta(minutes=1), NOW] == [page.upto for page in do.pages]


@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_a_clock_that_is_ahead_of_shopifys_does_not_say_that_what_is_to_come_was_read(
    fake, errands, do, put, how
):
    fake.skew = -timedelta(hours=3)
    now = datetime.now(UTC)
    await do(_documents(errands(upkeep=f", orders: {how}"), since=now - DAY, until=now))
    assert do.pages[-1].upto <= datetime.now(UTC) - timedelta(hours=3)


@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_only_what_changed_in_the_span_is_read_cancelled_and_closed_orders_too(fake, errands, do, put, how):
    orders = put(5, cancelled_at="2026-11-20T14:00:00+01:00", closed_at="2026-11-20T14:00:00+01:00")
    span = {"since": NOW - timedelta(minutes=3), "until": NOW - timedelta(minutes=1)}
    await do(_documents(errands(upkeep=f", orders: {how}"), **span))
    assert [str(order["id"]) for order in orders[1:4]] == _lanes(do.documents)


async def test_an_order_that_was_found_is_named_as_its_webhook_would_have_been(fake, errands, do, put, settings_of):
    (order,) = put(1)
    await do(_documents(errands()))
    (found,) = do.documents
    assert (str(order["id"]), "order", "orders/updated", SHOP) == (found.lane, found.kind, found.topic, found.tenant)
    assert order == json.loads(found.raw)
    assert NOW == found.version
    assert "email:ada.sample@example.com" in found.aliases
    assert found.id == f"found:{order['id']}:{NOW.isoformat()}"


async def test_a_test_order_brings_its_verdict(fake, errands, do, put):
    put(1, test=True)
    await do(_documents(errands()))
    assert [Reason.TEST_ORDER] == [document.reason for document in do.documents]


async def test_an_order_that_cannot_be_named_is_noted_and_the_others_go_on(fake, errands, do, put):
    put(2)
    next(iter(fake.orders.values()))["id"] = []
    await do(_documents(errands()))
    assert 1 == len(do.documents)
    assert ["an order that Shopify lists cannot be read"] == [note.split(": ")[1] for note in do.notes]


# -- limits and failures -----------------------------------------------------------------------------------------------


async def test_throttled_it_waits_as_long_as_the_answer_says(fake, errands, do, put):
    put(1)
    fake.faults = [Fault(status=429, headers={"Retry-After": "2.5"})]
    await do(_documents(errands()))
    assert [(timedelta(seconds=2.5), "throttled")] == do.waits
    assert 1 == len(do.documents)


async def test_a_bucket_that_is_nearly_full_is_left_to_drain(fake, errands, do, put):
    body = json.dumps({"orders": put(1)}).encode()
    fake.faults = [Fault(headers={"X-Shopify-Shop-Api-Call-Limit": "39/40"}, body=body)]
    await do(_documents(errands()))
    assert [(timedelta(seconds=1), "the shop's request limit is nearly used up")] == do.waits


async def test_a_query_that_costs_too_much_waits_until_there_is_enough(fake, errands, do, put):
    put(1)
    fake.available = 10.0
    await do(_documents(errands(upkeep=", orders: graphql")))
    assert timedelta(milliseconds=20) == do.waits[0][0]
    assert 1 == len(do.documents)


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}, {"status": 500}])
@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_what_passes_by_itself_is_waited_out_with_growing_pauses(fake, errands, do, put, fault, how):
    put(1)
    fake.faults = [Fault(**fault) for _ in range(3)]
    await do(_documents(errands(upkeep=f", orders: {how}")))
    assert [1, 2, 4] == [wait.total_seconds() for wait, _ in do.waits]
    assert 1 == len(do.documents)


async def test_what_does_not_pass_ends_with_a_sentence(fake, errands, do):
    fake.faults = [Fault(status=503) for _ in range(6)]
    with pytest.raises(ErrandFailed, match="answered 503 6 times running; try again later"):
        await do(_documents(errands()))
    fake.faults = [Fault(reset=True) for _ in range(6)]
    with pytest.raises(NoAnswer):
        await do(_documents(errands()))


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "token is not accepted"), (402, "frozen"), (403, "read_orders"), (404, "no such shop"), (423, "locked")],
)
@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_a_refusal_says_what_to_do(fake, errands, do, status, said, how):
    fake.faults = [Fault(status=status)]
    with pytest.raises(ErrandFailed, match=said):
        await do(_documents(errands(upkeep=f", orders: {how}")))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"orders": 7}', b"", b"\xff"])
@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_an_answer_that_is_none_is_said(fake, errands, do, body, how):
    fake.faults = [Fault(body=body)]
    with pytest.raises(ErrandFailed):
        await do(_documents(errands(upkeep=f", orders: {how}")))


async def test_errors_with_status_200_are_errors(fake, errands, do):
    said = {"errors": [{"message": "ada@example.com", "extensions": {"code": "SHOP_INACTIVE"}}]}
    fake.faults = [Fault(body=json.dumps(said).encode())]
    with pytest.raises(ErrandFailed, match="Shopify says: SHOP_INACTIVE") as told:
        await do(_documents(errands(upkeep=", orders: graphql")))
    assert "ada" not in str(told.value)


async def test_the_next_page_at_another_host_is_not_asked(fake, errands, do, put):
    put(1)
    link = '<https://elsewhere.example/admin/api/2026-10/orders.json?page_info=x>; rel="next"'
    fake.faults = [Fault(headers={"Link": link}, body=b'{"orders": []}')]
    with pytest.raises(ErrandFailed, match="the next page is not at"):
        await do(_documents(errands()))


async def test_a_dead_version_is_noted_once(fake, errands, do, put):
    put(3)
    fake.page, fake.answers_in = 1, "2027-01"
    await do(_documents(errands()))
    assert 1 == len(do.notes)
    assert "answers in API version 2027-01, not in 2026-10" in do.notes[0]


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_a_granted_token_is_asked_for_once(fake, errands, do, put):
    put(3)
    fake.page, fake.clients = 1, {"the-app": "client-secret"}
    await do(_documents(errands(access=GRANTED)))
    assert 1 == sum(path.startswith("/admin/oauth") for _, path, _ in fake.asked)
    assert 3 == len(do.documents)


async def test_a_token_that_ends_meanwhile_is_granted_anew(fake, errands, do, put):
    put(3)
    fake.page, fake.clients = 1, {"the-app": "client-secret"}
    errand = _documents(errands(access=GRANTED))
    real = fake._orders

    def ends(request):
        fake.tokens.clear()
        fake._orders = real
        return real(request)

    fake._orders = ends
    await do(errand)
    assert 2 == sum(path.startswith("/admin/oauth") for _, path, _ in fake.asked)
    assert 3 == len(do.documents)


async def test_a_grant_that_is_refused_says_where_to_look(fake, errands, do):
    with pytest.raises(ErrandFailed, match=r"no token was granted: look at access\.client_id"):
        await do(_documents(errands(access=GRANTED)))


async def test_a_token_that_is_refused_right_after_its_grant_ends_it(fake, errands, do):
    fake.clients = {"the-app": "client-secret"}
    fake.faults = [Fault(status=401, only="orders"), Fault(status=401, only="orders")]
    with pytest.raises(ErrandFailed, match="token is not accepted"):
        await do(_documents(errands(access=GRANTED)))


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"access": "{}"}, "write either token, or client_id and client_secret"),
        ({"access": "{token: env:SHOPIFY_TOKEN, client_id: x}"}, "write either token"),
        ({"access": "{client_id: x}"}, "write either token"),
        ({"upkeep": ", version: soon"}, "upkeep.version"),
        ({"upkeep": ", topics: [orders/payed]"}, "orders/payed cannot be subscribed to; there are: orders/paid"),
        ({"upkeep": ", topics: [shop/redact]"}, "shop/redact cannot be subscribed to"),
        ({"address": "bridge.example.com"}, "address"),
    ],
)
def test_a_mistake_in_the_settings_is_said(settings_of, changes, said):
    from bridge.errors import ConfigurationError  # noqa: PLC0415

    with pytest.raises(ConfigurationError, match=said):
        settings_of(**changes)


def test_access_without_an_address_is_said(text_of):
    from bridge.config import read  # noqa: PLC0415
    from bridge.errors import ConfigurationError  # noqa: PLC0415

    text = text_of().replace('    address: "http://127.0.0.1:9/webhooks/shop"\n', "")
    with pytest.raises(ConfigurationError, match="write `address:`"):
        read(text, environ=ENVIRON)


# -- GraphQL in the webhook's shape ------------------------------------------------------------------------------------


def _events(settings, document):
    return [
        (step.fact, step.once, step.at, _plain(step.give))
        for step in settings.rules.apply(document, "hellotext")
        if hasattr(step, "give")
    ]


def _plain(give):
    """Amounts as numbers: GraphQL leaves trailing zeros away."""
    return json.loads(json.dumps(give, default=float, sort_keys=True))


@pytest.mark.parametrize("hidden", ["lineItems", "refunds"])
async def test_an_order_whose_lists_are_not_given_is_noted_and_not_read_without_them(fake, errands, do, put, hidden):
    first, second = put(2)
    real = fake._orderbyid

    def order(variables):
        answer = real(variables)
        if str(first["id"]) in variables["id"]:
            error = {"message": "Internal error", "path": ["order", hidden], "extensions": None}
            return {"data": {"order": {**answer["order"], hidden: None}}, "errors": [error]}
        return answer

    fake._orderbyid = order
    await do(_documents(errands(upkeep=", orders: graphql")))
    assert [str(second["id"])] == _lanes(do.documents)
    assert any(str(first["id"]) in note for note in do.notes)


async def test_orders_that_the_app_may_not_see_are_noted_and_keep_no_other_back(fake, errands, do, put):
    put(2)
    real = fake._orderids

    def ids(variables):
        answer = real(variables)
        answer["orders"]["nodes"].insert(1, None)
        return {"data": answer, "errors": [{"message": "no", "path": ["orders", "nodes", 1]}]}

    fake._orderids = ids
    await do(_documents(errands(upkeep=", orders: graphql")))
    assert 2 == len(do.documents)
    assert ["orders that this app may not see are not read"] == [note.split(": ")[1] for note in do.notes]


async def test_a_list_that_goes_in_a_circle_ends_it(fake, errands, do, put):
    put(2)
    real = fake._orderids

    def ids(variables):
        answer = real(variables)
        answer["orders"]["pageInfo"] = {"hasNextPage": True, "endCursor": None}
        return answer

    fake._orderids = ids
    with pytest.raises(ErrandFailed, match="a next page and no way to it"):
        await do(_documents(errands(upkeep=", orders: graphql")))


async def test_graphql_gives_the_same_facts_as_the_webhook(fake, errands, do, an_order, settings_of):
    refund = json.loads((_examples() / "refund.json").read_text())
    parcel = json.loads((_examples() / "fulfillment.json").read_text())
    changes = {"refunds": [refund], "fulfillments": [parcel], "financial_status": "partially_refunded"}
    fake.put(an_order(1, **changes), at=NOW)
    lines = an_order()["line_items"]
    fake.put(an_order(2, line_items=[{**lines[n % 2], "id": n + 1, "quantity": n + 1} for n in range(7)]), at=NOW)
    await do(_documents(errands()))
    by_rest = {document.lane: document for document in do.documents}
    do.pages.clear()
    await do(_documents(errands(upkeep=", orders: graphql")))
    settings = settings_of()
    assert {"order.placed", "order.confirmed"} <= {fact for fact, *_ in _events(settings, do.documents[0])}
    for document in do.documents:
        assert _events(settings, by_rest[document.lane]) == _events(settings, document)
        assert by_rest[document.lane].version == document.version
        assert set(document.aliases) == set(by_rest[document.lane].aliases)


async def test_fields_that_the_app_may_not_see_are_empty_and_the_order_is_read(fake, errands, do, put):
    put(1)
    fake.hidden = ("email", "phone", "customer", "shippingAddress", "billingAddress")
    await do(_documents(errands(upkeep=", orders: graphql")))
    (document,) = do.documents
    assert json.loads(document.raw)["email"] is None
    assert not any(alias.startswith(("email:", "phone:", "customer:")) for alias in document.aliases)


async def test_only_the_orders_that_are_wanted_cost_a_query(fake, errands, do, put):
    orders = put(5)

    async def offered(offer):
        assert ("order", 5) == (offer.kind, len(offer.versions))
        return {str(orders[2]["id"])}

    await do(_documents(errands(upkeep=", orders: graphql")), offered=offered)
    assert [str(orders[2]["id"])] == _lanes(do.documents)
    assert 1 == len([path for _, path, body in fake.asked if b"OrderById" in body])


async def test_an_order_with_more_refunds_than_a_query_gives_is_noted_and_not_cut(fake, errands, do, an_order):
    refund = json.loads((_examples() / "refund.json").read_text())
    fake.put(an_order(1, refunds=[{**refund, "id": number} for number in range(20)]), at=NOW)
    await do(_documents(errands(upkeep=", orders: graphql")))
    assert [] == do.documents
    assert "has more refunds than a query gives" in do.notes[0]


def _examples():
    from bridge import registry  # noqa: PLC0415

    return registry.folder("shopify") / "examples"
