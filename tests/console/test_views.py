"""What the console shows of orders in every state, and what it does not show."""

import pytest

from bridge.console import acts
from bridge.contract import State
from bridge.journal import Selection

A_GROUP = "/repair/group?state=dead&dest=hellotext&rule=placed&reason=refused"


async def test_the_first_view_says_whether_all_is_well(with_console, visit, order):
    async with with_console() as bridge:
        page = visit(bridge)
        assert "All is well" in (await page.open("/")).words
        await bridge.fail(status=422, body="{}")
        name, body = order()
        await bridge.post(body)
        await bridge.settled(name)
        assert "2 things need you" in (await page.open("/")).words or "1 thing needs you" in page.words
        assert "Documents received 1" in page.words
        assert "/repair" == page.link("Repair")


async def test_orders_are_found_by_name_and_by_what_became_of_them(with_console, visit, in_every_state):
    async with with_console() as bridge:
        ids = await in_every_state(bridge)
        page = visit(bridge)
        await page.open("/orders")
        assert all(name in page.text for name in vars(ids).values())
        await page.open("/orders?state=dead")
        assert ids.dead in page.text
        assert ids.delivered not in page.text
        await page.open(f"/orders?text={ids.delivered}")
        assert "1 order goes by that name" in page.words
        await page.open(page.link(ids.delivered))
        assert "order.placed to hellotext" in page.words
        assert "delivered" in page.words
        await page.open("/orders?since=yesterday")
        assert "Since and until take 7d, 12h, or an instant" in page.words


async def test_older_orders_are_behind_a_link(with_console, visit, order):
    async with with_console() as bridge:
        names = []
        for _ in range(51):
            name, body = order(test=True)
            names.append(name)
            await bridge.post(body)
        await bridge.settled(names[-1])
        page = visit(bridge)
        await page.open("/orders?source=shop")
        assert names[-1] in page.text
        assert names[0] not in page.text
        await page.open(page.link("Older orders"))
        assert names[0] in page.text
        assert "source=shop" in page.path


async def test_a_document_is_shown_when_it_is_asked_for_and_that_is_logged(with_console, visit, in_every_state, log):
    async with with_console() as bridge:
        ids = await in_every_state(bridge)
        page = visit(bridge)
        for path in ("/", "/orders", "/repair", f"/orders?text={ids.delivered}"):
            assert "ada.sample" not in (await page.open(path)).text
        await page.open(page.link(ids.delivered))
        assert "ada.sample" not in page.text
        assert not [line for line in log() if line["event"] == "console.shown"]
        await page.open(page.link("document 1"))
        assert "ada.sample@example.com" in page.text
        assert "placed to hellotext: would be sent" in page.words
        assert '"action": "order.placed"' in page.words
        (line,) = [line for line in log() if line["event"] == "console.shown"]
        assert (1, ids.delivered) == (line["seq"], line["lane"])


async def test_a_document_is_shown_at_its_own_order_only(with_console, visit, in_every_state):
    async with with_console() as bridge:
        await in_every_state(bridge)
        page = visit(bridge)
        await page.open("/orders/1/documents/2")
        assert (404, True) == (page.status, "no such document of this order" in page.words)
        assert 404 == (await page.open("/orders/99")).status
        assert 404 == (await page.open("/nowhere")).status


async def test_the_rules_in_force_stand_with_their_places(with_console, visit):
    async with with_console() as bridge:
        page = visit(bridge)
        await page.open("/rules")
        assert "generation 1" in page.words
        assert "shopify/default" in page.text or "default.yaml:" in page.text
        assert "placed" in page.words


async def test_dead_facts_are_retried_and_what_became_of_them_is_said(
    with_console, visit, in_every_state, monkeypatch, log
):
    monkeypatch.setattr(acts, "CALLED_OFF_WITHIN", 0.1)
    async with with_console() as bridge:
        ids = await in_every_state(bridge)
        page = visit(bridge)
        await page.sign_in()
        await page.open("/repair")
        await page.open(page.link("placed"))
        assert "1 dead fact" in page.words
        await page.press("Retry")
        assert page.path.startswith("/repair/acts/")
        await bridge.until(lambda: _is_over(page))
        assert "Done: 1 of 1. 1 delivered" in page.words
        assert "delivered" == (await bridge.states(ids.dead))["order.placed"]
        (line,) = [line for line in log() if line["event"] == "console.acted"]
        assert ("retry", "dead", 1) == (line["act"], line["state"], line["count"])


async def _is_over(page):
    await page.open(page.path)
    return "Call it off" not in page.words and "Under way" not in page.words


async def test_one_fact_alone_is_dropped(with_console, visit, in_every_state, monkeypatch):
    monkeypatch.setattr(acts, "CALLED_OFF_WITHIN", 0.1)
    async with with_console() as bridge:
        await in_every_state(bridge)
        ids = await in_every_state(bridge)
        page = visit(bridge)
        await page.sign_in()
        await page.open("/repair")
        await page.open(page.link("placed"))
        assert "2 dead facts" in page.words
        action, fields = page.form("Drop")
        parked = [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD, rule="placed"))]
        (ref,) = [fact.ref for fact in parked if fact.order == ids.dead]
        await page.send(action, fields | {"ref": ref})
        await bridge.until(lambda: _is_over(page))
        assert "Done: 1 of 1." in page.words
        assert "dropped" == (await bridge.states(ids.dead))["order.placed"]
        assert "1 dead fact" in (await page.open(A_GROUP)).words


async def test_an_act_that_is_called_off_did_nothing(with_console, visit, in_every_state):
    async with with_console() as bridge:
        ids = await in_every_state(bridge)
        page = visit(bridge)
        await page.sign_in()
        await page.open(A_GROUP)
        await page.press("Drop")
        assert "It begins in" in page.words
        await page.press("Call it off")
        await bridge.until(lambda: _is_over(page))
        assert "Stopped: 0 of 0" in page.words
        assert "dead" == (await bridge.states(ids.dead))["order.placed"]


async def test_a_stop_does_not_wait_for_an_act(with_console, visit, in_every_state):
    async with with_console() as bridge:
        ids = await in_every_state(bridge)
        page = visit(bridge)
        await page.sign_in()
        await page.open(A_GROUP)
        await page.press("Drop")
        bridge.ending.stop.set()
    async with with_console() as bridge:
        assert "dead" == (await bridge.states(ids.dead))["order.placed"]


@pytest.mark.parametrize("path", ["/orders?after=x", "/orders?after=-1", "/repair/group?state=odd", "/repair/acts/7"])
async def test_odd_addresses_are_answered(with_console, visit, path):
    async with with_console() as bridge:
        page = visit(bridge)
        assert (await page.open(path)).status in (200, 404)
