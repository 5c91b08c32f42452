"""A connector is added without touching the core: as a folder, and as an installed package."""

import importlib
import sys
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

import connectors
from bridge import registry
from bridge.config import read

CODE = '''
from datetime import UTC, datetime
import msgspec
from pydantic import BaseModel, ConfigDict
from bridge.contract import Delivered, Envelope, EventShape, Request, Verified
from bridge.setting_types import Secret
from bridge.errors import Malformed, NotAuthentic
from bridge.signatures import matching_secret, signature_text


class Till(BaseModel):
    """A till that posts receipts, and a ledger that takes sales: source and destination in one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    secret: Secret
    url: str = ""

    def kinds(self):
        return {"receipt": {"number": "integer", "total": "money", "at": "time"}}

    def topics(self):
        return {"sale": "receipt"}

    def verify(self, arrival):
        if matching_secret([self.secret.reveal().encode()], arrival.body, arrival.headers.get("Signature", "")) is None:
            raise NotAuthentic("no secret fits")
        return Verified(tenant="till", secret=0)

    def read(self, arrival, verified):
        try:
            number = msgspec.json.decode(arrival.body)["number"]
        except (msgspec.DecodeError, KeyError, TypeError):
            raise Malformed("no receipt") from None
        return Envelope(source=arrival.source, id=str(number), topic="sale", kind="receipt", tenant=verified.tenant,
                        lane=str(number), received_at=arrival.received_at, raw=arrival.body)

    def sign(self, body, *, topic, tenant, delivery_id):
        return {"Signature": signature_text(self.secret.reveal().encode(), body)}

    def fitting_secret(self, body, *, tenant, signature):
        return None

    def shape(self):
        return EventShape(fields={"action": "text", "total": "money"}, required=frozenset({"action"}), name="action")

    def converse(self, event, moment):
        body = msgspec.json.Encoder(decimal_format="number").encode(event.give)
        answer = yield Request(method="POST", url=self.url, body=body, repeatable=True)
        return Delivered(str(answer.status))

    def probe(self):
        return Request(method="GET", url=self.url, repeatable=True)

    def is_answer(self, response):
        return response.status == 200


CONNECTOR = Till
'''

CONFIG = """
sources: {{till: {{connector: {name}, secret: env:TILL}}}}
destinations: {{ledger: {{connector: {name}, secret: env:TILL, url: "{url}"}}}}
journal: {{path: "{path}", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: 0}}
rules:
  sold: {{for: receipt, at: = receipt.at, give: {{action: sold, total: = receipt.total}}}}
"""


@pytest.fixture
def as_a_folder(tmp_path, monkeypatch):
    """A folder among the connectors."""
    (tmp_path / "more" / "till").mkdir(parents=True)
    (tmp_path / "more" / "till" / "__init__.py").write_text(CODE)
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path / "more")])
    yield "till"
    sys.modules.pop("connectors.till", None)


@pytest.fixture
def as_a_package(tmp_path, monkeypatch):
    """An installed distribution with the entry point."""
    site = tmp_path / "site"
    info = site / "till_of_ours-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "till_of_ours.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: till-of-ours\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bridge.connectors]\nour-till = till_of_ours\n")
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    yield "our-till"
    sys.modules.pop("till_of_ours", None)


@pytest.fixture
async def ledger():
    """A server that keeps what is posted to it: its address and the bodies."""
    bodies = []

    async def take(request):
        bodies.append(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", bodies


@pytest.mark.parametrize("way", ["as_a_folder", "as_a_package"])
async def test_an_order_goes_through_a_connector_that_the_core_has_never_heard_of(
    request, running, ledger, tmp_path, way
):
    name = request.getfixturevalue(way)
    assert name in registry.names()
    url, bodies = ledger
    text = CONFIG.format(name=name, url=url, path=tmp_path / "journal.db")
    settings = read(text, environ={"TILL": "a secret"})
    body = b'{"number": 7, "total": 12.50, "at": "2026-11-20T12:00:00Z"}'
    async with running(settings) as bridge:
        signed = settings.sources["till"].sign(body, topic="sale", tenant=None, delivery_id="")
        async with bridge.session.post(bridge.door.replace("shop", "till"), data=body, headers=signed) as answer:
            assert 200 == answer.status
        await bridge.settled("7")
        assert ['{"action":"sold","total":12.50}'] == bodies


def test_a_connector_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(registry.NoSuchConnector, match="hellotext, http, kafka, shopify"):
        registry.connector("till")
