-- Version 3. Times are microseconds since 1970 in UTC. Keys are led by numbers that grow (lane, seq), so that the cost
-- of an order does not depend on how many there were before.

CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- A lane is an order. n grows in order of first sight and is never used twice.
CREATE TABLE lane (
    n INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, name TEXT NOT NULL, seen INTEGER NOT NULL
);
CREATE UNIQUE INDEX lane_name ON lane (tenant, name);

CREATE TABLE envelope (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    lane INTEGER NOT NULL,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    topic TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER,
    occurred INTEGER,
    received INTEGER NOT NULL,
    size INTEGER NOT NULL,
    came INTEGER NOT NULL DEFAULT 0 -- when it came, where that is not when it was received
);
CREATE UNIQUE INDEX envelope_id ON envelope (lane, id);

-- The first byte of raw names the codec: 0 as it came, 1 LZ4 (block, with its size before it).
CREATE TABLE body (seq INTEGER PRIMARY KEY, headers BLOB NOT NULL, raw BLOB NOT NULL);

-- What waits, per destination; deleted when it is done.
CREATE TABLE work (
    dest TEXT NOT NULL, lane INTEGER NOT NULL, seq INTEGER NOT NULL, asked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (dest, lane, seq)
) WITHOUT ROWID;

-- One row per lane with work. due of a held lane is beyond all times.
CREATE TABLE turn (
    dest TEXT NOT NULL, lane INTEGER NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL, first INTEGER, held TEXT,
    PRIMARY KEY (dest, lane)
) WITHOUT ROWID;
CREATE INDEX turn_due ON turn (dest, due, lane);
CREATE INDEX turn_held ON turn (dest, held, lane) WHERE held IS NOT NULL;

-- A key and its state, and the amount that was accepted with it. dest '' is a document that its source parked.
CREATE TABLE fact (
    lane INTEGER NOT NULL, dest TEXT NOT NULL, fact TEXT NOT NULL, once TEXT NOT NULL,
    state TEXT NOT NULL, seq INTEGER NOT NULL, rule TEXT NOT NULL, occurred INTEGER, settled INTEGER NOT NULL,
    attempt INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, amount TEXT NOT NULL DEFAULT '?',
    PRIMARY KEY (lane, dest, fact, once)
) WITHOUT ROWID;
CREATE INDEX fact_parked ON fact (state, lane) WHERE state IN ('dead', 'uncertain', 'departed');

-- Which facts have keys here, so that a fact that was renamed is noticed.
CREATE TABLE name (dest TEXT NOT NULL, fact TEXT NOT NULL, PRIMARY KEY (dest, fact)) WITHOUT ROWID;

-- The history of what gave no new fact.
CREATE TABLE verdict (
    lane INTEGER NOT NULL, seq INTEGER NOT NULL, dest TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (lane, seq, dest, rule, reason)
) WITHOUT ROWID;

CREATE TABLE attempt (
    lane INTEGER NOT NULL, seq INTEGER NOT NULL, dest TEXT NOT NULL, at INTEGER NOT NULL,
    fact TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, until INTEGER,
    PRIMARY KEY (lane, seq, dest, at)
) WITHOUT ROWID;

-- The newest version that was mapped.
CREATE TABLE version (
    lane INTEGER NOT NULL, dest TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, newest INTEGER NOT NULL,
    PRIMARY KEY (lane, dest, source, kind)
) WITHOUT ROWID;

-- Salted hashes of the names of an order. A bucket is a run of 512 lanes: an insert touches the pages of one bucket
-- only, a search asks each bucket.
CREATE TABLE alias (
    bucket INTEGER NOT NULL, hash BLOB NOT NULL, lane INTEGER NOT NULL,
    PRIMARY KEY (bucket, hash, lane)
) WITHOUT ROWID;

CREATE TABLE hold (
    dest TEXT NOT NULL, rule TEXT NOT NULL, digest TEXT NOT NULL, since INTEGER NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (dest, rule)
) WITHOUT ROWID;

-- Small things to remember, and when scheduled work was last begun.
CREATE TABLE memory (name TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;

-- Salted hashes of erased persons: what comes of them later is stored without body, and skipped.
CREATE TABLE blocked (hash BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;

-- Names of facts that were ever said to be one: a key of either is a key of both, whichever rules are in force.
CREATE TABLE former (
    dest TEXT NOT NULL, fact TEXT NOT NULL, former TEXT NOT NULL, PRIMARY KEY (dest, fact, former)
) WITHOUT ROWID;

-- How far each partition of a stream is stored. doubtful: the journal was put back since.
CREATE TABLE position (
    source TEXT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
    doubtful INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (source, topic, part)
) WITHOUT ROWID;
