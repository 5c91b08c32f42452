"""Journals of every implementation that there is, found by folder, on real files."""

import importlib
import pkgutil
from datetime import UTC, datetime, timedelta

import pytest

import bridge.journal
from bridge.contract import Envelope

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = [module.name for module in pkgutil.iter_modules(bridge.journal.__path__) if module.ispkg]


@pytest.fixture(params=KINDS)
def implementation(request):
    """The package of one implementation."""
    return importlib.import_module(f"bridge.journal.{request.param}")


@pytest.fixture
def opened(implementation, tmp_path):
    """Opens the journal of this test, again and again: `async with opened() as journal`."""

    def again(*, destinations=("api",), **options):
        return implementation.opened(tmp_path / "journal.db", destinations=destinations, **options)

    return again


@pytest.fixture
async def journal(opened):
    async with opened() as found:
        yield found


@pytest.fixture
def envelope():
    """Makes envelopes; `minutes` are after NOW, and order versions."""

    def make(order="1", delivery=None, *, minutes=0, version=True, kind="order", source="shop", **more):
        at = NOW + timedelta(minutes=minutes)
        return Envelope(
            source=source,
            id=delivery or f"{order}-{minutes}",
            topic="orders/create",
            kind=kind,
            tenant=more.pop("tenant", "shop.example"),
            lane=order,
            version=at if version else None,
            received_at=more.pop("received_at", NOW),
            raw=more.pop("raw", b'{"id": %d, "minutes": %d, "padding": "%s"}' % (int(order), minutes, b"x" * 200)),
            **more,
        )

    return make
