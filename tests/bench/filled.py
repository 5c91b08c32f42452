"""Journals in Postgres that hold many orders already, made by one statement a table."""

import asyncio
from string import Template

import asyncpg

_ALL = """
INSERT INTO lane (n, tenant, name, seen) SELECT n, 'old.example', n::text, $now FROM generate_series(1, $rows) n;
INSERT INTO envelope (seq, lane, id, source, topic, kind, version, occurred, received, size)
    SELECT n, n, 'd' || n, 'shop', 'orders/create', 'order', 1, 1, $now, 16 FROM generate_series(1, $rows) n;
INSERT INTO body (lane, seq, headers, raw)
    SELECT n, n, '{}', convert_to('0{}', 'UTF8') FROM generate_series(1, $rows) n;
INSERT INTO alias (bucket, hash, lane)
    SELECT n / 512, substring(sha256(n::text::bytea) for 9), n FROM generate_series(1, $rows) n;
SELECT setval(pg_get_serial_sequence('lane', 'n'), $rows), setval(pg_get_serial_sequence('envelope', 'seq'), $rows);
"""
_WAITING = """
INSERT INTO work (dest, lane, seq) SELECT 'hellotext', n, n FROM generate_series(1, $rows) n;
INSERT INTO turn (dest, lane, due, docs)
    SELECT 'hellotext', n, 4000000000000000 + n, 1 FROM generate_series(1, $rows) n;
"""
_SETTLED = """
INSERT INTO fact (lane, dest, fact, once, state, seq, rule, occurred, settled, attempt, reason, detail)
    SELECT n, 'hellotext', 'order.placed', '[]', 'delivered', n, 'placed', 1, $now, 1, '', ''
    FROM generate_series(1, $rows) n;
"""


def filled(place, kind, rows, *, now):
    """`rows` orders that wait for a later time (waiting) or are done (settled); now in microseconds."""

    async def fill():
        connection = await asyncpg.connect(place.dsn, command_timeout=600)
        try:
            script = Template(_ALL + (_WAITING if kind == "waiting" else _SETTLED)).substitute(rows=rows, now=now)
            await connection.execute(f'SET search_path = "{place.schema}"; {script}')
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()

    if kind != "empty":
        asyncio.run(fill())
