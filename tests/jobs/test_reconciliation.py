"""What never came is found and taken in, once: by hand beside a running bridge or without one, and on the schedule."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from multidict import CIMultiDict

from bridge.cli import command
from bridge.contract import HttpArrival, Verified
from bridge.errors import ErrandFailed
from bridge.jobs.reconciliation import Reconciliation
from bridge.journal.sqlite import opened, reading
from tests.jobs.conftest import ENVIRON, NOW
from tests.jobs.shop import Fault

SHOP = "example.myshopify.com"
STILL = ", subscriptions: leave, reconcile: false"


@pytest.fixture
async def journal(tmp_path):
    async with opened(tmp_path / "journal.db", destinations=("hellotext",)) as found:
        yield found


@pytest.fixture
def reconciled(journal, errands, do):
    """Reconciles once; the tally."""

    async def make(*, since=NOW - timedelta(days=1), until=NOW, mark="", dry_run=False, **more):
        work = Reconciliation(journal=journal, source="shop", tenant=SHOP, dry_run=dry_run, mark=mark)
        return await work.made(errands(**more), do.performer, since=since, until=until, now=datetime.now(UTC))

    return make


def _counts(tally):
    return tally.found, tally.already, tally.missing, tally.newer, sum(tally.skipped.values())


@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_what_is_missing_is_taken_in_and_once_more_finds_it_there(fake, put, reconciled, journal, how):
    put(5)
    fake.page = 2
    assert (5, 0, 5, 0, 0) == _counts(await reconciled(upkeep=f", orders: {how}"))
    assert (5, 5, 0, 0, 0) == _counts(await reconciled(upkeep=f", orders: {how}"))
    assert 5 == (await journal.stats()).envelopes


@pytest.mark.parametrize("how", ["rest", "graphql"])
async def test_only_newer_documents_of_known_orders_are_taken_in(fake, put, reconciled, journal, how):
    first, second, third = put(3)
    await reconciled(upkeep=f", orders: {how}")
    fake.put(second, at=NOW + timedelta(minutes=5))
    fake.put(third | {"test": True}, at=NOW + timedelta(minutes=6))
    later = NOW + timedelta(hours=1)
    assert (3, 1, 0, 1, 1) == _counts(await reconciled(upkeep=f", orders: {how}", until=later))
    story = await journal.story((await journal.find(str(second["id"])))[0])
    assert 2 == len(story.documents)
    assert 1 == len((await journal.story((await journal.find(str(first["id"])))[0])).documents)


async def test_an_order_that_a_webhook_brought_is_not_taken_in_again(fake, put, reconciled, journal, settings_of):
    (order,) = put(1)
    shopify = settings_of().sources["shop"]
    headers = CIMultiDict({"X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "w"})
    arrival = HttpArrival(source="shop", headers=headers, body=json.dumps(order).encode(), received_at=NOW)
    await journal.append(shopify.read(arrival, Verified(tenant=SHOP, secret=0)))
    assert (1, 1, 0, 0, 0) == _counts(await reconciled())


async def test_a_dry_run_counts_and_changes_nothing(fake, put, reconciled, journal):
    put(3)
    assert (3, 0, 3, 0, 0) == _counts(await reconciled(dry_run=True, mark="mark"))
    assert 0 == (await journal.stats()).envelopes
    assert await journal.recall("mark") is None


async def test_how_far_it_came_is_remembered_after_every_page(fake, put, reconciled, journal):
    put(4)
    fake.page = 2
    real = fake._orders

    def breaks(request):
        return fake._json({"errors": "no"}, status=403) if "page_info" in request.query else real(request)

    fake._orders = breaks
    with pytest.raises(ErrandFailed):
        await reconciled(mark="mark")
    assert (NOW - timedelta(minutes=2)).isoformat() == await journal.recall("mark")
    fake._orders = real
    await reconciled(mark="mark")
    assert NOW.isoformat() == await journal.recall("mark")


# -- by hand -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def config(text_of, tmp_path):
    """A configuration file; its path."""

    def make(**more):
        path = tmp_path / "bridge.yaml"
        path.write_text(text_of(**more))
        return path

    return make


async def test_beside_a_running_bridge_what_was_missing_is_sent(
    fake, put, running, settings_of, sandbox, config, typed
):
    orders = put(3, created_at=_recent(), processed_at=_recent())
    async with running(settings_of(api=sandbox, upkeep=STILL)) as bridge:
        code, out, err = await typed(
            "shopify", "reconcile", "--since", "2026-11-01T00:00:00Z", "--config", config(api=sandbox, upkeep=STILL)
        )
        assert (0, "") == (code, err if code else "")
        assert "missing         3  were not known: taken in" in out
        for order in orders:
            await bridge.settled(str(order["id"]))
            assert "delivered" == (await bridge.states(str(order["id"])))["order.placed"]
        code, out, _ = await typed(
            "shopify", "reconcile", "--since", "2026-11-01T00:00:00Z", "--json", "--config",
            config(api=sandbox, upkeep=STILL),
        )  # fmt: skip
        assert [3, 3, 0] == [json.loads(out)[0][name] for name in ("found", "already", "healed")]
        assert 6 == len([action for action in await bridge.actions() if action in ("order.placed", "order.confirmed")])


def _recent():
    return datetime.now(UTC).replace(microsecond=0).isoformat()


async def test_without_a_running_bridge_it_waits_for_the_next_start(fake, put, config, typed, tmp_path):
    put(2)
    async with opened(tmp_path / "journal.db", destinations=("hellotext",)):
        pass
    code, out, _ = await typed("shopify", "reconcile", "--since", "2026-11-01T00:00:00Z", "--config", config())
    assert 0 == code
    assert "taken in" in out
    async with reading(tmp_path / "journal.db") as journal:
        assert {"hellotext": 2} == (await journal.stats()).waiting


async def test_broken_off_it_goes_on_where_it_was(fake, put, config, typed, tmp_path):
    put(6)
    fake.page = 2
    async with opened(tmp_path / "journal.db", destinations=("hellotext",)):
        pass
    words = ("shopify", "reconcile", "--since", "2026-11-01T00:00:00Z", "--config", config(upkeep=", overlap: 10s"))
    real = fake._orders

    def breaks(request):
        if "page_info" in request.query:
            fake.tokens.clear()
            return fake._json({"errors": "revoked"}, status=401)
        return real(request)

    fake._orders = breaks
    code, _, err = await typed(*words)
    assert 1 == code
    assert "token is not accepted" in err
    fake._orders, fake.tokens = real, {"shpat_lasting"}
    fake.asked.clear()
    code, out, err = await typed(*words)
    assert 0 == code
    assert "going on at 2026-11-20T13:26:00+00:00, where the last one was broken off" in err
    assert "missing         4" in out
    code, out, err = await typed(*words)
    assert "going on" not in err
    assert "already         6" in out


async def test_a_killed_one_has_stored_what_it_told(fake, put, config, tmp_path):
    put(6)
    fake.page = 2
    async with opened(tmp_path / "journal.db", destinations=("hellotext",)):
        pass
    reached = asyncio.Event()
    real = fake._orders

    def waits(request):
        if "page_info" in request.query:
            reached.set()
            fake.faults = [Fault(delay=20)]
        return real(request)

    fake._orders = waits
    words = ("shopify", "reconcile", "--since", "2026-11-01T00:00:00Z", "--config", str(config()))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bridge",
        *words,
        env={**os.environ, **ENVIRON},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    await asyncio.wait_for(reached.wait(), 30)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    async with reading(tmp_path / "journal.db") as journal:
        assert 2 <= (await journal.stats()).envelopes <= 4
        assert await journal.recall("reconciling:shop:example.myshopify.com:2026-11-01T00:00:00Z")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday"], "--since takes 7d, 12h, or an instant"),
        (["--since", "2d", "--until", "3d"], "--until is not after --since"),
        (["--since", "2d", "--shop", "other.myshopify.com"], "the bridge may not ask any of these shops"),
        (["--since", "2d", "--source", "till"], "there is no source till; there are: shop"),
    ],
)
def test_a_mistake_is_said_and_exits_2(config, monkeypatch, words, said):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    found = CliRunner().invoke(command, ["shopify", "reconcile", "--config", str(config()), *words])
    assert 2 == found.exit_code
    assert said in found.output


# -- on the schedule ---------------------------------------------------------------------------------------------------


async def test_inside_run_it_is_done_at_its_turn_and_a_restart_does_not_do_it_again(
    fake, an_order, running, settings_of, sandbox
):
    def put(number):
        return fake.put(an_order(number, created_at=_recent(), processed_at=_recent()))

    every = ", subscriptions: leave, reconcile_every: 1s, overlap: 1h"
    first = put(1)
    async with running(settings_of(api=sandbox, upkeep=every)) as bridge:
        await bridge.until(lambda: bridge.house.journal.find(str(first["id"])))
        second = put(2)
        await bridge.until(lambda: bridge.house.journal.find(str(second["id"])), seconds=15)
        assert "delivered" == (await _settled(bridge, second))["order.placed"]
    asked = len(fake.asked)
    async with running(settings_of(api=sandbox, upkeep=", subscriptions: leave, reconcile_every: 1h")) as bridge:
        await bridge.until(lambda: _ready(bridge))
    assert asked == len(fake.asked)


async def _settled(bridge, order):
    await bridge.settled(str(order["id"]))
    return await bridge.states(str(order["id"]))


async def _ready(bridge):
    async with bridge.session.get(f"{bridge.private}/readyz") as answer:
        return answer.status == 200


async def test_a_shop_that_does_not_answer_is_told_and_tried_again(
    fake, an_order, running, settings_of, sandbox, events
):
    fake.tokens.clear()
    every = ", subscriptions: leave, reconcile_every: 1s"
    async with running(settings_of(api=sandbox, upkeep=every)) as bridge:
        await bridge.until(lambda: events("errand.failed"), seconds=15)
        fake.tokens = {"shpat_lasting"}
        order = fake.put(an_order(1, created_at=_recent(), processed_at=_recent()))
        await bridge.until(lambda: bridge.house.journal.find(str(order["id"])), seconds=15)
        await bridge.until(lambda: events("reconciliation.done"), seconds=15)
    assert "token is not accepted" in (await events("errand.failed"))[0]["detail"]
    assert [1] == [done["healed"] for done in await events("reconciliation.done") if done["healed"]]


async def test_a_subscription_that_shopify_deleted_is_repaired_or_only_told(
    fake, running, settings_of, sandbox, events
):
    once = ", reconcile: false, check_every: 1s"
    async with running(settings_of(api=sandbox, upkeep=f"{once}, subscriptions: report")) as bridge:
        await bridge.until(lambda: events("subscription.missing"), seconds=15)
    assert {} == fake.subscriptions
    async with running(settings_of(api=sandbox, upkeep=once)) as bridge:
        await bridge.until(lambda: events("subscription.mended"), seconds=15)
        assert 3 == len(fake.subscriptions)
