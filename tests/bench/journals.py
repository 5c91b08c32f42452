"""Journals with a million orders in them, made by bulk SQL and kept in .cache/."""

import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bridge.journal.rows import BUCKET, alias_hash, packed
from bridge.journal.sqlite.file import writable
from tests.bench.programs import ROOT

_CHUNK = 20_000
_BODY = b"""{"id":5000000000001,"name":"#1","created_at":"2026-11-20T14:05:33+01:00","currency":"EUR",
"total_price":"80.00","line_items":[{"id":1,"variant_id":2,"name":"Linen shirt","price":"40.00","quantity":2}]}"""
_YEAR = 365 * 86_400 * 1_000_000

INSERTS = {
    "lane": "INSERT INTO lane (n, tenant, name, seen) VALUES (?, 'example.myshopify.com', ?, ?)",
    "envelope": """INSERT INTO envelope (seq, lane, id, source, topic, kind, version, occurred, received, size)
        VALUES (?, ?, ?, 'shop', 'orders/create', 'order', ?, ?, ?, 260)""",
    "body": "INSERT INTO body (seq, headers, raw) VALUES (?, x'7b7d', ?)",
    "alias": "INSERT OR IGNORE INTO alias VALUES (?, ?, ?)",
    "work": "INSERT INTO work (dest, lane, seq) VALUES ('hellotext', ?, ?)",
    "turn": "INSERT INTO turn (dest, lane, due, attempt) VALUES ('hellotext', ?, ?, 0)",
    "fact": """INSERT INTO fact
        (lane, dest, fact, once, state, seq, rule, occurred, settled, attempt, reason, detail)
        VALUES (?, 'hellotext', 'order.placed', '[]', 'delivered', ?, 'placed', ?, ?, 1, '', '200')""",
    "version": "INSERT INTO version VALUES (?, 'hellotext', 'shop', 'order', ?)",
}


def made(kind: str, rows: int) -> Path:
    """kind: waiting (due in a year), due (due now), settled. The file is made if it is not there."""
    path = ROOT / ".cache" / "bench" / f"{kind}-{rows}-whole.db"
    if path.exists():
        return path
    sys.stderr.write(f"making a journal of {rows} {kind} orders (once) ")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with writable(part) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        for first in range(1, rows + 1, _CHUNK):
            _fill(connection, kind, range(first, min(first + _CHUNK, rows + 1)))
            sys.stderr.write(".")
            sys.stderr.flush()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    part.rename(path)
    sys.stderr.write("\n")
    return path


def _fill(connection: sqlite3.Connection, kind: str, numbers: range) -> None:
    now = time.time_ns() // 1000
    body = packed(_BODY)
    connection.execute("BEGIN")
    rows: dict[str, Iterator[tuple]] = {
        "lane": ((n, str(5_000_000_000_000 + n), now) for n in numbers),
        "envelope": ((n, n, str(uuid.uuid4()), now, now, now) for n in numbers),
        "body": ((n, body) for n in numbers),
        "alias": ((n // BUCKET, alias_hash(b"x", "", f"{part}{n}"), n) for n in numbers for part in range(6)),
    }
    if kind == "settled":
        rows["fact"] = ((n, n, now, now) for n in numbers)
        rows["version"] = ((n, now) for n in numbers)
    else:
        due = now + _YEAR if kind == "waiting" else now - 1
        rows["work"] = ((n, n) for n in numbers)
        rows["turn"] = ((n, due) for n in numbers)
    for name, values in rows.items():
        connection.executemany(INSERTS[name], values)
    connection.execute("COMMIT")
