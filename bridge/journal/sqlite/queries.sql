-- Named statements. `rows(...)` stands for as many copies of the tuple as there are rows in the group that is committed:
-- one step in C for all of them. SQLite scans for `(a, b) IN (VALUES ...)` with more than one row, so many-row queries
-- join, and deletions name the led column alone (`+` keeps the second list away from the index).

-- name: lanes
WITH wanted (tenant, name) AS (VALUES rows(?, ?))
SELECT w.tenant, w.name, l.n FROM wanted w CROSS JOIN lane l ON l.tenant = w.tenant AND l.name = w.name

-- name: known
WITH wanted (lane, id) AS (VALUES rows(?, ?))
SELECT w.lane, w.id, e.seq, b.raw FROM wanted w CROSS JOIN envelope e ON e.lane = w.lane AND e.id = w.id
LEFT JOIN body b ON b.seq = e.seq

-- name: add_lanes
INSERT INTO lane (n, tenant, name, seen) VALUES rows(?, ?, ?, ?)

-- name: add_envelopes
INSERT INTO envelope (seq, lane, id, source, topic, kind, version, occurred, received, size, came)
VALUES rows(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_bodies
INSERT INTO body (seq, headers, raw) VALUES rows(?, ?, ?)

-- name: add_work
INSERT INTO work (dest, lane, seq) VALUES rows(?, ?, ?)

-- name: add_turns
INSERT INTO turn (dest, lane, due, attempt) VALUES rows(?, ?, ?, 0) ON CONFLICT DO NOTHING

-- name: add_aliases
INSERT INTO alias (bucket, hash, lane) VALUES rows(?, ?, ?) ON CONFLICT DO NOTHING

-- name: put_facts
INSERT INTO fact (lane, dest, fact, once, state, seq, rule, occurred, settled, attempt, reason, detail, amount)
VALUES rows(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET state = excluded.state, seq = excluded.seq, rule = excluded.rule,
    occurred = excluded.occurred, settled = excluded.settled, attempt = excluded.attempt, reason = excluded.reason,
    detail = excluded.detail, amount = excluded.amount

-- name: add_names
INSERT INTO name (dest, fact) VALUES rows(?, ?) ON CONFLICT DO NOTHING

-- name: names
SELECT dest, fact FROM name

-- name: unite
INSERT INTO former (dest, fact, former) VALUES rows(?, ?, ?) ON CONFLICT DO NOTHING

-- name: united
SELECT dest, fact, former FROM former

-- name: put_verdicts
INSERT INTO verdict (lane, seq, dest, rule, reason, detail, at) VALUES rows(?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET detail = excluded.detail, at = excluded.at

-- name: put_versions
INSERT INTO version (lane, dest, source, kind, newest) VALUES rows(?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET newest = max(newest, excluded.newest)

-- name: add_attempts
INSERT INTO attempt (lane, seq, dest, at, fact, reason, detail, until) VALUES rows(?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: drop_facts
DELETE FROM fact WHERE lane = ? AND dest = ? AND fact = ? AND once = ?

-- name: end_work
DELETE FROM work WHERE dest = ? AND asked = ? AND lane IN (VALUES rows(?)) AND +seq IN (VALUES rows(?))

-- name: end_turns
DELETE FROM turn WHERE dest = ? AND lane IN (VALUES rows(?))
    AND NOT EXISTS (SELECT 1 FROM work WHERE work.dest = turn.dest AND work.lane = turn.lane)

-- name: next_turns
UPDATE turn SET due = ?, attempt = 0, first = NULL, held = NULL WHERE dest = ? AND lane IN (VALUES rows(?))

-- name: postpone
-- A first attempt that lies ahead was written by a clock that has been set back since.
UPDATE turn SET due = ?1, attempt = attempt + 1, first = min(coalesce(first, ?2), ?2), held = NULL
WHERE dest = ?3 AND lane = ?4

-- name: hold_lane
UPDATE turn SET due = ?, held = ? WHERE dest = ? AND lane = ?

-- name: hold
SELECT 1 FROM hold WHERE dest = ? AND rule = ?

-- name: first_attempt
UPDATE turn SET attempt = 0, first = NULL WHERE dest = ? AND lane = ?

-- name: hasten
UPDATE turn SET due = ? WHERE dest = ? AND due > ? AND due < ?

-- name: due
SELECT t.lane, t.attempt, t.first, w.seq, w.asked, e.size
FROM turn t
CROSS JOIN work w ON w.dest = t.dest AND w.lane = t.lane
    AND w.seq = (SELECT min(o.seq) FROM work o WHERE o.dest = t.dest AND o.lane = t.lane)
CROSS JOIN envelope e ON e.seq = w.seq
WHERE t.dest = ? AND t.due <= ? ORDER BY t.due, t.lane LIMIT ?

-- name: next_due
SELECT due, lane FROM turn WHERE dest = ? ORDER BY due, lane LIMIT ?

-- name: documents
SELECT e.seq, l.tenant, l.name, e.id, e.source, e.topic, e.kind, e.version, e.occurred, e.received, b.headers, b.raw
FROM envelope e JOIN lane l ON l.n = e.lane LEFT JOIN body b ON b.seq = e.seq WHERE e.seq IN (VALUES rows(?))

-- name: held_facts
-- And, without a lane, the names that are one.
SELECT lane, fact, once, state, seq FROM fact WHERE dest = ? AND lane IN (VALUES rows(?))
UNION ALL SELECT NULL, fact, former, NULL, NULL FROM former WHERE dest = ?

-- name: newest
SELECT lane, source, kind, newest FROM version WHERE dest = ? AND lane IN (VALUES rows(?))

-- name: ended_in_flight
UPDATE fact SET state = 'uncertain', reason = 'ended in flight', settled = ?
WHERE state = 'departed' AND state IN ('dead', 'uncertain', 'departed')

-- name: waiting
SELECT dest, count(*), min(due) FROM turn GROUP BY dest

-- name: fact_counts
SELECT dest, state, count(*) FROM fact GROUP BY dest, state

-- name: parked_counts
SELECT dest, state, count(*) FROM fact WHERE state IN ('dead', 'uncertain', 'departed') GROUP BY dest, state

-- name: parked_groups
SELECT state, dest, rule, reason, count(*), min(settled) FROM fact
WHERE state IN ('dead', 'uncertain', 'departed') AND state <> 'departed'
GROUP BY state, dest, rule, reason ORDER BY 5 DESC, 1, 2, 3, 4

-- name: sizes
SELECT (SELECT count(*) FROM envelope), (SELECT count(*) FROM lane), (SELECT count(*) FROM body)

-- name: lane_by_name
SELECT n FROM lane WHERE tenant = ? AND name = ?

-- name: tenants
WITH RECURSIVE t(tenant) AS (
    SELECT min(tenant) FROM lane
    UNION ALL
    SELECT (SELECT min(tenant) FROM lane WHERE tenant > t.tenant) FROM t WHERE t.tenant IS NOT NULL
)
SELECT tenant FROM t WHERE tenant IS NOT NULL

-- name: lanes_by_alias
WITH RECURSIVE bucket(n) AS (
    SELECT 0 UNION ALL SELECT n + 1 FROM bucket WHERE n < (SELECT coalesce(max(n), 0) / 512 FROM lane)
)
SELECT alias.lane FROM bucket CROSS JOIN alias ON alias.bucket = bucket.n AND alias.hash = ?

-- name: lane
SELECT tenant, name FROM lane WHERE n = ?

-- name: names_of
SELECT tenant, name FROM lane WHERE n IN (VALUES rows(?))

-- name: lane_documents
SELECT e.seq, e.id, e.source, e.topic, e.kind, e.version, e.occurred, e.received, e.size,
    EXISTS (SELECT 1 FROM body b WHERE b.seq = e.seq) AS body FROM envelope e WHERE e.lane = ? ORDER BY e.seq

-- name: lane_facts
SELECT dest, fact, once, state, seq, rule, occurred, settled, attempt, reason, detail, amount FROM fact WHERE lane = ?
ORDER BY settled, fact

-- name: lane_verdicts
SELECT seq, dest, rule, reason, detail, at FROM verdict WHERE lane = ? ORDER BY at, seq

-- name: lane_attempts
SELECT seq, dest, at, fact, reason, detail, until FROM attempt WHERE lane = ? ORDER BY at

-- name: lane_waiting
SELECT w.dest, w.seq, t.due, t.attempt, t.held FROM work w JOIN turn t ON t.dest = w.dest AND t.lane = w.lane
WHERE w.lane = ? AND w.dest = ? ORDER BY w.seq

-- name: destinations
WITH RECURSIVE d(dest) AS (
    SELECT min(dest) FROM turn
    UNION ALL
    SELECT (SELECT min(dest) FROM turn WHERE dest > d.dest) FROM d WHERE d.dest IS NOT NULL
)
SELECT dest FROM d WHERE dest IS NOT NULL

-- name: parked
SELECT f.lane, l.tenant, l.name, f.dest, f.fact, f.once, f.state, f.rule, f.reason, f.detail, f.seq, f.settled,
    e.source, e.kind, e.topic, e.id
FROM fact f JOIN lane l ON l.n = f.lane LEFT JOIN envelope e ON e.seq = f.seq
WHERE f.state = ? AND f.state IN ('dead', 'uncertain', 'departed')
    AND (f.lane, f.dest, f.fact, f.once) > (?, ?, ?, ?) ORDER BY f.lane, f.dest, f.fact, f.once LIMIT ?

-- name: parked_of_lane
SELECT f.lane, l.tenant, l.name, f.dest, f.fact, f.once, f.state, f.rule, f.reason, f.detail, f.seq, f.settled,
    e.source, e.kind, e.topic, e.id
FROM fact f JOIN lane l ON l.n = f.lane LEFT JOIN envelope e ON e.seq = f.seq
WHERE f.lane = ? AND f.state = ?

-- name: newest_document
SELECT e.seq FROM envelope e JOIN body b ON b.seq = e.seq WHERE e.lane = ? AND e.source = ? AND e.kind = ?
ORDER BY e.version DESC, e.seq DESC LIMIT 1

-- name: ask
INSERT INTO work (dest, lane, seq, asked) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET asked = asked + 1

-- name: ask_turn
INSERT INTO turn (dest, lane, due, attempt) VALUES (?, ?, ?, 0)
ON CONFLICT DO UPDATE SET due = min(due, excluded.due), held = NULL

-- name: set_state
UPDATE fact SET state = ?, reason = ?, settled = ? WHERE lane = ? AND dest = ? AND fact = ? AND once = ? AND state = ?

-- name: forget_fact
DELETE FROM fact WHERE lane = ? AND dest = ? AND fact = ? AND once = ? AND state = ?

-- name: put_hold
INSERT INTO hold (dest, rule, digest, since, detail) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET digest = excluded.digest, since = excluded.since, detail = excluded.detail

-- name: holds
SELECT dest, rule, digest, since, detail FROM hold ORDER BY dest, rule

-- name: stuck
-- The oldest of the lanes whose rule is held, by the time at which it was tried first.
SELECT dest, min(first) FROM turn WHERE held IS NOT NULL GROUP BY dest

-- name: end_hold
DELETE FROM hold WHERE dest = ? AND rule = ?

-- name: free_held
UPDATE turn SET due = ?, held = NULL WHERE held IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.dest = turn.dest AND h.rule = turn.held)

-- name: release
UPDATE turn SET due = ?, held = NULL WHERE dest = ? AND lane IN (
    SELECT lane FROM turn WHERE dest = ? AND held = ? ORDER BY lane LIMIT 1000)

-- name: old_bodies
SELECT b.seq, e.lane, iif(e.came, e.came, e.received), length(b.raw) FROM body b CROSS JOIN envelope e ON e.seq = b.seq
WHERE b.seq > ? ORDER BY b.seq LIMIT ?

-- name: busy_lanes
SELECT lane FROM turn WHERE dest = ? AND lane IN (VALUES rows(?))

-- name: unfinished_lanes
SELECT lane FROM fact WHERE lane IN (VALUES rows(?))
    AND (state IN ('dead', 'uncertain', 'departed') OR settled >= ?)

-- name: hide_names
UPDATE lane SET name = 'erased:' || n
WHERE n IN (VALUES rows(?)) AND (name GLOB 'customer:*' OR name GLOB 'customer_[a-z]*:*')

-- name: drop_bodies
DELETE FROM body WHERE seq IN (VALUES rows(?))

-- name: old_envelopes
SELECT seq, lane, iif(came, came, received), 0 FROM envelope WHERE seq > ? ORDER BY seq LIMIT ?

-- name: next_document
SELECT iif(came, came, received) FROM envelope WHERE seq > ? AND iif(came, came, received) <= ? ORDER BY seq LIMIT 1

-- name: drop_envelopes
DELETE FROM envelope WHERE seq IN (VALUES rows(?))

-- name: drop_verdicts
DELETE FROM verdict WHERE lane IN (VALUES rows(?)) AND +seq IN (VALUES rows(?))

-- name: drop_attempts
DELETE FROM attempt WHERE lane IN (VALUES rows(?)) AND +seq IN (VALUES rows(?))

-- name: lanes_after
SELECT n, n, seen, 0 FROM lane WHERE n > ? ORDER BY n LIMIT ?

-- name: next_lane
SELECT seen FROM lane WHERE n > ? AND seen <= ? ORDER BY n LIMIT 1

-- name: lanes_with_envelopes
SELECT DISTINCT lane FROM envelope WHERE lane IN (VALUES rows(?))

-- name: drop_lanes
DELETE FROM lane WHERE n IN (VALUES rows(?))

-- name: drop_lane_facts
DELETE FROM fact WHERE lane IN (VALUES rows(?))

-- name: drop_lane_versions
DELETE FROM version WHERE lane IN (VALUES rows(?))

-- name: drop_lane_aliases
DELETE FROM alias WHERE bucket IN (VALUES rows(?)) AND +lane IN (VALUES rows(?))

-- name: salt
SELECT value FROM meta WHERE name = 'salt'

-- name: meta
SELECT name, value FROM meta

-- name: put_meta
INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)

-- name: drop_meta
DELETE FROM meta WHERE name = ?

-- name: newest_seq
SELECT coalesce(max(seq), 0) FROM envelope

-- name: orders
SELECT n FROM lane WHERE n > ? ORDER BY n LIMIT ?

-- name: order_documents
SELECT l.n, e.seq, l.tenant, l.name, e.id, e.source, e.topic, e.kind, e.version, e.occurred, e.received, b.headers, b.raw
FROM lane l CROSS JOIN envelope e ON e.lane = l.n LEFT JOIN body b ON b.seq = e.seq
WHERE l.n > ? AND l.n <= ? AND e.received >= ? AND e.received < ?
    AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.lane = e.lane AND v.seq = e.seq AND v.dest = '')

-- name: order_facts
SELECT lane, dest, fact, once, state, seq FROM fact WHERE lane > ? AND lane <= ?

-- name: newest_stored
SELECT lane, max(version) FROM envelope WHERE source = ? AND kind = ? AND lane IN (VALUES rows(?)) GROUP BY lane

-- name: facts_of
SELECT lane, dest, fact, once, state, amount FROM fact WHERE lane IN (VALUES rows(?))

-- name: waiting_of
SELECT lane, dest FROM turn WHERE dest = ? AND lane IN (VALUES rows(?))

-- name: listed
SELECT e.seq, e.lane, l.tenant, l.name, e.source, e.topic, iif(e.came, e.came, e.received),
    EXISTS (SELECT 1 FROM envelope o WHERE o.lane = e.lane AND o.seq > e.seq)
FROM envelope e CROSS JOIN lane l ON l.n = e.lane WHERE e.seq < ? ORDER BY e.seq DESC LIMIT ?

-- name: listed_facts
SELECT lane, dest, state, reason, rule, fact, once, detail FROM fact WHERE lane IN (VALUES rows(?))

-- name: listed_skips
SELECT lane, dest, rule, reason, detail FROM verdict WHERE lane IN (VALUES rows(?))

-- name: recall
SELECT value FROM memory WHERE name = ?

-- name: memories
SELECT name, value, at FROM memory WHERE name >= ? AND name < ? ORDER BY name

-- name: remember
INSERT INTO memory (name, value, at) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at

-- name: positions
SELECT topic, part, next, doubtful FROM position WHERE source = ?

-- name: keep_positions
INSERT INTO position (source, topic, part, next) VALUES rows(?, ?, ?, ?)
ON CONFLICT DO UPDATE SET next = excluded.next, doubtful = 0

-- name: doubt_positions
UPDATE position SET doubtful = 1

-- name: take_turn
INSERT INTO memory (name, value, at) VALUES (?, '', ?)
ON CONFLICT DO UPDATE SET at = excluded.at WHERE memory.at <= ? OR memory.at > ?

-- name: block
INSERT INTO blocked (hash, at) VALUES rows(?, ?) ON CONFLICT DO NOTHING

-- name: allow
DELETE FROM blocked WHERE hash IN (VALUES rows(?))

-- name: blocked
SELECT hash FROM blocked LIMIT ?

-- name: blocked_of
SELECT hash FROM blocked WHERE hash IN (VALUES rows(?))

-- name: lanes_of_tenant
SELECT n FROM lane WHERE n > ? AND +tenant = ? ORDER BY n LIMIT ?

-- name: documents_of
SELECT lane, seq, source, id FROM envelope WHERE lane IN (VALUES rows(?))

-- name: sizes_of
SELECT lane, size FROM envelope WHERE lane IN (VALUES rows(?))

-- name: drop_lane_work
DELETE FROM work WHERE dest = ? AND lane IN (VALUES rows(?))

-- name: drop_lane_turns
DELETE FROM turn WHERE dest = ? AND lane IN (VALUES rows(?))

-- name: end_lane_facts
UPDATE fact SET state = CASE WHEN state IN ('dead', 'uncertain') THEN ? ELSE state END,
    reason = CASE WHEN state IN ('dead', 'uncertain') THEN ? ELSE reason END,
    settled = CASE WHEN state IN ('dead', 'uncertain') THEN ? ELSE settled END, detail = ''
WHERE lane IN (VALUES rows(?))

-- name: conclude
UPDATE fact SET state = ?, reason = ?, settled = ?, detail = '' WHERE lane = ? AND dest = '' AND fact = ? AND once = ?

-- name: requests_of_lane
SELECT fact, once FROM fact WHERE lane = ? AND dest = '' AND state IN ('dead', 'dropped')
    AND reason IN ('not carried out yet', 'erased')
