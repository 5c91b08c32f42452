"""What a bare program does on the same work: nothing stored or checked that the work does not need, no retries.

Usage: python -m tests.bench.floors KIND PORT TARGET; the target is the database of intake, the DSN of postgres, the
sink of chain and person, SINK|BROKER|TOPIC of kafka
intake  signature over the raw body, SQLite group commit with fsync, 200 (postgres: one statement a group)
chain   request, map by hand, POST, answer; nothing is stored
person  request, map by hand, and the three requests of a new person: profile, session, event; nothing is stored
kafka   consume, map by hand, POST with 64 at a time; nothing is stored, positions are committed every 5 s
"""

import asyncio
import base64
import hashlib
import hmac
import queue
import sqlite3
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import asyncpg
import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaConsumer

from tests.bench.orders import SECRET

_GROUP = 256


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mapped(raw: bytes) -> bytes:
    """An order mapped by hand, with floats for money."""
    order = orjson.loads(raw)
    query = dict(parse_qsl(urlsplit(order["landing_site"]).query))
    made = datetime.fromisoformat(order["created_at"]).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "event": "purchase",
        "event_id": f"shopify-order-{order['id']}",
        "occurred_at": made,
        "order": {
            "id": str(order["id"]),
            "name": order["name"],
            "currency": order["currency"],
            "total": float(order["total_price"]),
            "tax": float(order["total_tax"]),
            "discount_codes": [code["code"] for code in order["discount_codes"]],
        },
        "customer": {
            "id": str(order["customer"]["id"]),
            "email_sha256": _sha(order["email"].strip().lower()),
            "phone_sha256": _sha("".join(c for c in order["customer"]["phone"] or "" if c in "+0123456789")),
        },
        "attribution": {
            "utm_source": query.get("utm_source"),
            "utm_campaign": query.get("utm_campaign"),
            "notes": [{"key": note["name"], "value": note["value"]} for note in order["note_attributes"]],
        },
        "items": [
            {
                "sku": line["sku"],
                "product_id": str(line["product_id"]),
                "variant_id": str(line["variant_id"]),
                "title": line["title"],
                "quantity": line["quantity"],
                "price": float(line["price"]),
            }
            for line in order["line_items"]
        ],
    }
    return orjson.dumps(event)


def intake(port: int, database: str) -> None:
    connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
    connection.executescript("pragma journal_mode=wal; pragma synchronous=full")
    connection.execute("create table e(n integer primary key, id text unique, b blob)")
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    secret = SECRET.encode()

    def write() -> None:
        while True:
            group = [waiting.get()]
            while not waiting.empty() and len(group) < _GROUP:
                group.append(waiting.get())
            connection.execute("begin")
            connection.executemany("insert or ignore into e(id, b) values(?, ?)", [item[:2] for item in group])
            connection.execute("commit")
            group[0][3].call_soon_threadsafe(lambda group=group: [item[2].set_result(None) for item in group])

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        claimed = base64.b64decode(request.headers["X-Shopify-Hmac-Sha256"])
        if not hmac.compare_digest(claimed, hmac.digest(secret, body, "sha256")):
            return web.Response(status=401)
        loop = asyncio.get_running_loop()
        stored = loop.create_future()
        waiting.put((request.headers["X-Shopify-Webhook-Id"], body, stored, loop))
        await stored
        return web.Response()

    threading.Thread(target=write, daemon=True).start()
    uvloop.run(_serve(port, handle))


def postgres(port: int, dsn: str) -> None:
    """The same with one table in Postgres, a group in one statement."""
    waiting: deque[tuple[str, bytes, asyncio.Future]] = deque()
    came = asyncio.Event()
    secret = SECRET.encode()

    async def write() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "DROP TABLE IF EXISTS e; CREATE TABLE e (n bigserial PRIMARY KEY, id text UNIQUE, b bytea)"
        )
        while True:
            came.clear()
            if not waiting:
                await came.wait()
            group = [waiting.popleft() for _ in range(min(_GROUP, len(waiting)))]
            columns = [item[0] for item in group], [item[1] for item in group]
            sql = "INSERT INTO e (id, b) SELECT * FROM unnest($1::text[], $2::bytea[]) ON CONFLICT DO NOTHING"
            await connection.execute(sql, *columns)
            for item in group:
                item[2].set_result(None)

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        claimed = base64.b64decode(request.headers["X-Shopify-Hmac-Sha256"])
        if not hmac.compare_digest(claimed, hmac.digest(secret, body, "sha256")):
            return web.Response(status=401)
        stored = asyncio.get_running_loop().create_future()
        waiting.append((request.headers["X-Shopify-Webhook-Id"], body, stored))
        came.set()
        await stored
        return web.Response()

    async def main() -> None:
        writing = asyncio.create_task(write())
        await _serve(port, handle)
        await writing

    uvloop.run(main())


def chain(port: int, sink: str) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

            async def handle(request: web.Request) -> web.Response:
                async with session.post(sink, data=mapped(await request.read())) as answer:
                    await answer.read()
                return web.Response()

            await _serve(port, handle)

    uvloop.run(main())


def person(port: int, sink: str) -> None:
    """The three requests that the default rules send for an order of a new person, one after the other."""

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

            async def ask(method: str, path: str, body: bytes) -> bytes:
                async with session.request(method, sink + path, data=body) as answer:
                    return await answer.read()

            async def handle(request: web.Request) -> web.Response:
                raw = await request.read()
                order = orjson.loads(raw)
                buyer = {"email": order["email"], "phone": order["customer"]["phone"]}
                found = orjson.loads(await ask("POST", "/v1/profiles", orjson.dumps(buyer)))
                visit = next(note["value"] for note in order["note_attributes"])
                await ask("PATCH", f"/v1/sessions/{visit}", orjson.dumps({"profile": found["id"]}))
                await ask("POST", "/v1/attribution/events", mapped(raw))
                return web.Response()

            await _serve(port, handle)

    uvloop.run(main())


def kafka(port: int, target: str) -> None:
    """target: SINK|BROKER|TOPIC"""
    sink, bootstrap, topic = target.split("|")

    async def main() -> None:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=f"bare-{port}",
                                    auto_offset_reset="earliest", enable_auto_commit=True)  # fmt: skip
        await consumer.start()
        waiting: asyncio.Queue[bytes] = asyncio.Queue(1000)
        async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:

            async def post() -> None:
                while True:
                    async with session.post(sink, data=mapped(await waiting.get())) as answer:
                        await answer.read()

            tasks = [asyncio.create_task(post()) for _ in range(64)]
            server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
            while tasks and server:
                for records in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                    for record in records:
                        await waiting.put(record.value)

    uvloop.run(main())


async def _serve(port: int, handle: object) -> None:
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _KINDS = {"intake": intake, "postgres": postgres, "chain": chain, "person": person, "kafka": kafka}
    _KINDS[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
