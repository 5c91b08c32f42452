"""Whole processes of the program for a shop, orders for them, and what the API received."""

import asyncio
import json
import random
import uuid
from datetime import UTC, datetime

import aiohttp

from bridge.cli.sender import example, fresh
from tests.processes import Process

CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}", session_patience: 300ms}}
journal: {journal}
door: {{host: 127.0.0.1, port: {port}, fast: {fast}}}
private: {{port: {private}}}
delivery: {{first_wait: 20ms, longest_wait: 200ms, concurrency: 16, grace: 3s, fast: {fast}}}
logs: {{style: json}}
include: [shopify/default]
"""


class ShopProcess(Process):
    """A bridge for one shop, with a door at a port."""

    def __init__(self, folder, url, environ, ports, *, journal=None, fast=True):
        self.port, private = ports
        kept = journal or f'{{path: "{folder / "journal.db"}", min_free: 0, ballast: 0}}'
        text = CONFIG.format(url=url, journal=kept, port=self.port, private=private, fast=json.dumps(fast))
        super().__init__(folder, f"bridge-{self.port}", text, environ, private)


def an_order(*, with_buyer):
    body = fresh(example("shopify", "order.json"), now=datetime.now(UTC))
    document = json.loads(body)
    document["id"] = uuid.uuid4().int % 10**15
    document["note_attributes"] = [{"name": "hello_session", "value": str(uuid.uuid4())}]
    document["line_items"][0]["properties"] = []
    if with_buyer:
        document["email"] = document["customer"]["email"] = f"buyer-{document['id']}@example.com"
    else:
        document |= {"email": "", "contact_email": None, "phone": None, "customer": None}
        document |= {"billing_address": None, "shipping_address": None}
    return str(document["id"]), json.dumps(document).encode()


async def load(process, signer, acknowledged, stop, chance):
    """Orders without end; those that were answered 200 are remembered.

    chance: which of them have a buyer. Each load draws from one of its own, so that the others' pace changes nothing.
    """
    chance = random.Random(chance.getrandbits(64))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while not stop.is_set():
            number, body = an_order(with_buyer=bool(chance.getrandbits(1)))
            headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id=number)
            try:
                url = f"http://127.0.0.1:{process.port}/webhooks/shop"
                async with session.post(url, data=body, headers=headers) as answer:
                    if answer.status == 200:
                        acknowledged.add(number)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.02)


async def received(url):
    async with aiohttp.ClientSession() as session, session.get(f"{url}/received") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    return [line for line in lines if line["path"] == "/v1/attribution/events"]
