"""Whole processes of the program, orders for them, and what the API received."""

import asyncio
import json
import os
import random
import sys
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from bridge.cli.sending import example, fresh

ROOT = Path(__file__).parents[2]

CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}", session_patience: 300ms}}
journal: {journal}
door: {{host: 127.0.0.1, port: {port}}}
private: {{port: {private}}}
delivery: {{first_wait: 20ms, longest_wait: 200ms, concurrency: 16, grace: 3s}}
logs: {{style: json}}
include: [shopify/default]
"""


class Process:
    """The installed program, in a process of its own."""

    def __init__(self, folder, url, environ, ports, *, journal=None):
        self.port, self.private = ports
        self.config = folder / f"bridge-{self.port}.yaml"
        self.log = folder / f"log-{self.port}"
        kept = journal or f'{{path: "{folder / "journal.db"}", min_free: 0, ballast: 0}}'
        text = CONFIG.format(url=url, journal=kept, port=self.port, private=self.private)
        self.config.write_text(text)
        self.environ = {**os.environ, **environ}
        self.running = None

    async def start(self):
        with self.log.open("ab") as log:
            self.running = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bridge", "run", "--config", self.config, cwd=ROOT, env=self.environ, stderr=log
            )
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            while True:
                assert self.running.returncode is None, self.log.read_text()
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{self.private}/readyz") as ready:
                        if ready.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def end(self, number):
        self.running.send_signal(number)
        return await asyncio.wait_for(self.running.wait(), 20)


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


async def load(process, signer, acknowledged, stop):
    """Orders without end; those that were answered 200 are remembered."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while not stop.is_set():
            number, body = an_order(with_buyer=bool(random.getrandbits(1)))
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
