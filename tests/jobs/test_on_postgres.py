"""The same upkeep over Postgres, where commands act by themselves and several replicas share the turns."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from bridge.contract import State
from bridge.journal import Selection
from tests.jobs.conftest import ENVIRON

SHOP = "example.myshopify.com"


@pytest.fixture
def shared(postgres_place):
    """The journal's section."""
    return f'{{kind: postgres, url: env:DATABASE, schema: "{postgres_place.schema}", poll: 500ms, lease: 5s}}'


@pytest.fixture
def environ_of(postgres_place):
    return {**ENVIRON, "DATABASE": postgres_place.dsn}


def _recent():
    return datetime.now(UTC).replace(microsecond=0).isoformat()


async def test_a_shop_is_reconciled_once_by_all_replicas_and_a_person_erased_by_command(
    fake, an_order, running, settings_of, text_of, sandbox, shared, environ_of, typed, tmp_path, events, monkeypatch
):
    settings = settings_of(
        environ=environ_of, api=sandbox, journal=shared, upkeep=", subscriptions: leave, reconcile_every: 1h"
    )
    order = fake.put(an_order(1, created_at=_recent(), processed_at=_recent()))
    async with running(settings) as first, running(settings) as second:
        for bridge in (first, second):
            await bridge.until(lambda bridge=bridge: bridge.house.journal.find(str(order["id"])), seconds=20)
        await first.settled(str(order["id"]))
        await first.until(lambda: events("reconciliation.done"))
        await asyncio.sleep(0.5)  # the other's time to do it again
        assert 1 == len(await events("reconciliation.done"))
        assert 1 == len(await first.house.journal.find("ada.sample@example.com"))

        config = tmp_path / "bridge.yaml"
        config.write_text(text_of(api=sandbox, journal=shared, upkeep=", subscriptions: leave, reconcile_every: 1h"))
        monkeypatch.setenv("DATABASE", environ_of["DATABASE"])
        code, out, err = await typed("erase", "--email", "ada.sample@example.com", "--yes", "--config", config)
        assert (0, "erased: 1 documents of 1 orders") == (code, out.partition(";")[0]), err
        later = an_order(2, created_at=_recent(), processed_at=_recent())
        assert 200 == (await second.post(json.dumps(later).encode()))[0]
        assert "erased" == (await second.settled(str(later["id"]))).skips[0]["reason"]

        request = {"shop_id": 1, "shop_domain": SHOP}
        assert 200 == (await first.post(json.dumps(request).encode(), topic="shop/redact"))[0]
        await first.until(lambda: events("erased"), seconds=20)
        assert not [one async for one in first.house.journal.parked(Selection(state=State.DEAD))]
