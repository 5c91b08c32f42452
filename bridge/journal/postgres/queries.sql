-- Named statements; a group is given as one array a column. Rows are locked in the order of (dest, lane) everywhere, so
-- that two groups wait for each other at worst, and never both. After the claim every statement names its lanes.

-- name: lanes
WITH wanted AS (
    SELECT DISTINCT ON (tenant, name) tenant, name, seen
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS w (tenant, name, seen) ORDER BY tenant, name, seen
), there AS (
    SELECT l.n, l.tenant, l.name FROM wanted w JOIN lane l USING (tenant, name) ORDER BY l.n FOR KEY SHARE OF l
), made AS (
    INSERT INTO lane (tenant, name, seen)
    SELECT tenant, name, seen FROM wanted w
    WHERE NOT EXISTS (SELECT 1 FROM there t WHERE t.tenant = w.tenant AND t.name = w.name) ORDER BY tenant, name
    ON CONFLICT (tenant, name) DO NOTHING RETURNING n, tenant, name
), shut AS (
    -- The lock on the table is taken before the picture of it: whoever blocks waits for what may not have seen it.
    SELECT hash FROM blocked WHERE hash = ANY ($4::bytea[]) FOR KEY SHARE
)
SELECT n, tenant, name, false AS opened, NULL::bytea AS blocked FROM there
UNION ALL SELECT n, tenant, name, true, NULL FROM made
UNION ALL SELECT NULL, NULL, NULL, NULL, hash FROM shut

-- name: add_envelopes
INSERT INTO envelope (lane, id, source, topic, kind, version, occurred, received, size, came)
SELECT lane, id, source, topic, kind, version, occurred, received, size, came
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::integer[], $10::bigint[])
    WITH ORDINALITY AS w (lane, id, source, topic, kind, version, occurred, received, size, came, place)
ORDER BY place
ON CONFLICT (lane, id) DO NOTHING RETURNING lane, id, seq

-- name: known
SELECT e.lane, e.id, e.seq, b.raw FROM unnest($1::bigint[], $2::text[]) AS w (lane, id)
JOIN envelope e ON e.lane = w.lane AND e.id = w.id
LEFT JOIN body b ON b.lane = e.lane AND b.seq = e.seq

-- name: lanes_there
SELECT tenant, name FROM unnest($1::text[], $2::text[]) AS w (tenant, name) JOIN lane USING (tenant, name)

-- name: add_documents
WITH bodies AS (
    INSERT INTO body (lane, seq, headers, raw) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[])
), aliases AS (
    INSERT INTO alias (bucket, hash, lane)
    SELECT lane / 512, hash, lane FROM unnest($5::bytea[], $6::bigint[]) AS a (hash, lane) ORDER BY lane, hash
    ON CONFLICT DO NOTHING
), works AS (
    INSERT INTO work (dest, lane, seq)
    SELECT dest, lane, seq FROM unnest($7::bigint[], $8::bigint[]) AS w (lane, seq)
    CROSS JOIN unnest($10::text[]) AS d (dest)
)
INSERT INTO turn (dest, lane, due, docs)
SELECT dest, lane, least(min(due), DATABASE_NOW), count(*)
FROM unnest($7::bigint[], $9::bigint[]) AS w (lane, due) CROSS JOIN unnest($10::text[]) AS d (dest)
GROUP BY dest, lane ORDER BY dest, lane
ON CONFLICT (dest, lane) DO UPDATE SET docs = turn.docs + excluded.docs

-- name: claim
WITH alive AS MATERIALIZED (
    SELECT id FROM owner WHERE id = $5 FOR KEY SHARE
), ready AS MATERIALIZED (
    SELECT lane, due FROM turn WHERE dest = $1 AND due <= $2 ORDER BY due, lane LIMIT $3 FOR UPDATE SKIP LOCKED
), oldest AS (
    SELECT r.lane, r.due, w.seq, w.asked, e.size
    FROM ready r
    CROSS JOIN LATERAL (
        SELECT seq, asked FROM work WHERE work.dest = $1 AND work.lane = r.lane ORDER BY seq LIMIT 1
    ) w
    JOIN envelope e ON e.lane = r.lane AND e.seq = w.seq
), counted AS (
    SELECT *, row_number() OVER o AS place, sum(size) OVER o AS bytes FROM oldest WINDOW o AS (ORDER BY due, lane)
)
UPDATE turn t SET owner = alive.id, claim = $6, revoked = false, claimed = c.due, due = 4611686018427387904
FROM counted c CROSS JOIN alive
WHERE t.dest = $1 AND t.lane = c.lane AND (c.place = 1 OR c.bytes <= $4)
RETURNING t.lane, t.attempt, t.first, c.seq, c.asked, c.size, c.due

-- name: documents
SELECT e.seq, l.tenant, l.name, e.id, e.source, e.topic, e.kind, e.version, e.occurred, e.received, b.headers, b.raw
FROM unnest($1::bigint[], $2::bigint[]) AS w (lane, seq)
JOIN envelope e ON e.lane = w.lane AND e.seq = w.seq
JOIN lane l ON l.n = w.lane LEFT JOIN body b ON b.lane = w.lane AND b.seq = w.seq

-- name: document
SELECT e.seq, l.tenant, l.name, e.id, e.source, e.topic, e.kind, e.version, e.occurred, e.received, b.headers, b.raw
FROM envelope e JOIN lane l ON l.n = e.lane LEFT JOIN body b ON b.lane = e.lane AND b.seq = e.seq WHERE e.seq = $1

-- name: held_facts
-- And, without a lane, the names that are one: as they are after the claim, whichever replica said so.
SELECT lane, fact, once, state, seq FROM fact WHERE dest = $1 AND lane = ANY ($2::bigint[])
UNION ALL SELECT NULL, fact, former, NULL, NULL FROM former WHERE dest = $1

-- name: newest
SELECT lane, source, kind, newest FROM version WHERE dest = $1 AND lane = ANY ($2::bigint[])

-- name: hasten
UPDATE turn SET due = least($1, DATABASE_NOW) WHERE dest = $2 AND due > $3 AND due < $4 AND owner IS NULL

-- name: next_due
SELECT due FROM turn WHERE dest = $1 AND due < 4611686018427387904 ORDER BY due LIMIT 1

-- name: owned
SELECT t.dest, t.lane, t.claim, t.revoked FROM turn t
JOIN unnest($1::text[], $2::bigint[], $3::bigint[]) AS w (dest, lane, claim)
    ON t.dest = w.dest AND t.lane = w.lane AND t.claim = w.claim
WHERE t.owner = $4 ORDER BY t.dest, t.lane FOR UPDATE OF t

-- name: drop_facts
DELETE FROM fact f USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS w (lane, dest, fact, once)
WHERE f.lane = w.lane AND f.dest = w.dest AND f.fact = w.fact AND f.once = w.once

-- name: put_facts
INSERT INTO fact (lane, dest, fact, once, state, seq, rule, occurred, settled, attempt, reason, detail, amount)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
    $8::bigint[], $9::bigint[], $10::integer[], $11::text[], $12::text[], $13::text[])
ON CONFLICT (lane, dest, fact, once) DO UPDATE SET state = excluded.state, seq = excluded.seq, rule = excluded.rule,
    occurred = excluded.occurred, settled = excluded.settled, attempt = excluded.attempt, reason = excluded.reason,
    detail = excluded.detail, amount = excluded.amount

-- name: put_names
INSERT INTO name (dest, fact) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING

-- name: names
SELECT dest, fact FROM name

-- name: unite
INSERT INTO former (dest, fact, former) SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING

-- name: united
SELECT dest, fact, former FROM former

-- name: put_verdicts
INSERT INTO verdict (lane, seq, dest, rule, reason, detail, at)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
ON CONFLICT (lane, seq, dest, rule, reason) DO UPDATE SET detail = excluded.detail, at = excluded.at

-- name: put_versions
INSERT INTO version (lane, dest, source, kind, newest)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])
ON CONFLICT (lane, dest, source, kind) DO UPDATE SET newest = greatest(version.newest, excluded.newest)

-- name: put_attempts
INSERT INTO attempt (lane, seq, dest, at, fact, reason, detail, until)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $8::bigint[])
ON CONFLICT DO NOTHING

-- name: first_attempts
UPDATE turn t SET attempt = 0, first = NULL FROM unnest($1::text[], $2::bigint[]) AS w (dest, lane)
WHERE t.dest = w.dest AND t.lane = w.lane

-- name: postpone
-- The hold's row decides, not what a process remembers of it: without one the lane is due. The lock on it keeps who
-- releases the rule waiting for what is held by it here.
WITH holding AS (
    SELECT dest, rule FROM hold WHERE (dest, rule) IN (SELECT * FROM unnest($1::text[], $5::text[]))
    ORDER BY dest, rule FOR KEY SHARE
)
-- A first attempt that lies ahead was written by a clock that has been set back since.
UPDATE turn t SET attempt = t.attempt + 1, first = least(t.first, w.now), owner = NULL, held = h.rule,
    due = CASE WHEN w.held IS NOT NULL AND h.rule IS NULL THEN least(w.now, DATABASE_NOW) ELSE w.due END
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) AS w (dest, lane, due, now, held)
LEFT JOIN holding h ON h.dest = w.dest AND h.rule = w.held
WHERE t.dest = w.dest AND t.lane = w.lane
RETURNING t.dest, t.lane, w.held IS NOT NULL AND h.rule IS NULL AS free

-- name: give_back
-- Whoever revoked the claim may still wait for the lane: it is theirs for a moment.
UPDATE turn t SET owner = NULL, due = greatest(t.claimed, least(w.now, DATABASE_NOW) + 1000000)
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS w (dest, lane, now)
WHERE t.dest = w.dest AND t.lane = w.lane

-- name: lock_pairs
SELECT t.lane FROM turn t JOIN unnest($1::text[], $2::bigint[]) AS w (dest, lane)
    ON t.dest = w.dest AND t.lane = w.lane ORDER BY t.dest, t.lane FOR UPDATE OF t

-- name: revoke
UPDATE turn t SET revoked = true FROM unnest($1::text[], $2::bigint[]) AS w (dest, lane)
WHERE t.dest = w.dest AND t.lane = w.lane AND t.owner IS NOT NULL RETURNING t.owner, t.claim, t.dest, t.lane

-- name: revoked_of
SELECT dest, lane, claim FROM turn WHERE owner = $1 AND revoked

-- name: standing
SELECT 1 FROM turn t JOIN unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) AS w (owner, claim, dest, lane)
    ON t.dest = w.dest AND t.lane = w.lane AND t.owner = w.owner AND t.claim = w.claim LIMIT 1

-- name: finish
WITH ended AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[])
        AS w (dest, lane, seq, asked, now)
), gone AS (
    DELETE FROM work w USING ended e WHERE w.dest = e.dest AND w.lane = e.lane AND w.seq = e.seq AND w.asked = e.asked
    RETURNING w.dest, w.lane
), last AS (
    DELETE FROM turn t USING gone g WHERE t.dest = g.dest AND t.lane = g.lane AND t.docs = 1
)
UPDATE turn t SET docs = t.docs - (g.lane IS NOT NULL)::integer, due = least(e.now, DATABASE_NOW), attempt = 0, first = NULL, held = NULL,
    owner = NULL
FROM ended e LEFT JOIN gone g ON g.dest = e.dest AND g.lane = e.lane
WHERE t.dest = e.dest AND t.lane = e.lane AND (g.lane IS NULL OR t.docs > 1)

-- name: enter
INSERT INTO owner (until, since) VALUES (clock_timestamp() + $1::interval, clock_timestamp()) RETURNING id

-- name: clock
SELECT DATABASE_NOW

-- name: renew
UPDATE owner SET until = clock_timestamp() + $2::interval WHERE id = $1

-- name: lapsed
DELETE FROM owner WHERE id IN (
    SELECT id FROM owner WHERE until < clock_timestamp() ORDER BY id FOR UPDATE SKIP LOCKED
) RETURNING id

-- name: leave
DELETE FROM owner WHERE id = $1 RETURNING id

-- name: freed
SELECT t.dest, t.lane FROM turn t WHERE t.owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM owner o WHERE o.id = t.owner)
ORDER BY t.dest, t.lane FOR UPDATE OF t

-- name: owned_by
SELECT dest, lane FROM turn WHERE owner = $1 AND claim = ANY ($2::bigint[]) ORDER BY dest, lane FOR UPDATE

-- name: free
UPDATE turn t SET owner = NULL, due = t.claimed FROM unnest($1::text[], $2::bigint[]) AS w (dest, lane)
WHERE t.dest = w.dest AND t.lane = w.lane

-- name: ended_in_flight
UPDATE fact f SET state = 'uncertain', reason = 'ended in flight', settled = $1
WHERE f.state = 'departed' AND f.state IN ('dead', 'uncertain', 'departed') AND NOT EXISTS (
    SELECT 1 FROM turn t JOIN owner o ON o.id = t.owner WHERE t.dest = f.dest AND t.lane = f.lane)

-- name: waiting
SELECT dest, count(*), min(due) FROM turn GROUP BY dest

-- name: overdue
SELECT dest, min(due) FROM turn WHERE dest = ANY ($1::text[]) AND due < 4611686018427387904 GROUP BY dest

-- name: fact_counts
SELECT dest, state, count(*) FROM fact GROUP BY dest, state

-- name: parked_counts
SELECT dest, state, count(*) FROM fact WHERE state IN ('dead', 'uncertain', 'departed') GROUP BY dest, state

-- name: parked_groups
SELECT state, dest, rule, reason, count(*), min(settled) FROM fact
WHERE state IN ('dead', 'uncertain', 'departed') AND state <> 'departed'
GROUP BY state, dest, rule, reason ORDER BY 5 DESC, 1, 2, 3, 4

-- name: sizes
SELECT (SELECT count(*) FROM envelope), (SELECT count(*) FROM lane), (SELECT count(*) FROM body),
    (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
     WHERE c.relnamespace = 'SCHEMA'::regnamespace AND c.relkind = 'r')

-- name: lane_by_name
SELECT n FROM lane WHERE tenant = $1 AND name = $2

-- name: tenants
WITH RECURSIVE t (tenant) AS (
    (SELECT min(tenant) FROM lane)
    UNION ALL
    SELECT (SELECT min(tenant) FROM lane WHERE tenant > t.tenant) FROM t WHERE t.tenant IS NOT NULL
)
SELECT tenant FROM t WHERE tenant IS NOT NULL

-- name: lanes_by_alias
SELECT alias.lane FROM generate_series(0, (SELECT coalesce(max(n), 0) / 512 FROM lane)) AS bucket (n)
JOIN alias ON alias.bucket = bucket.n AND alias.hash = $1 ORDER BY alias.lane

-- name: lane
SELECT tenant, name FROM lane WHERE n = $1

-- name: lane_documents
SELECT e.seq, e.id, e.source, e.topic, e.kind, e.version, e.occurred, e.received, e.size,
    EXISTS (SELECT 1 FROM body b WHERE b.lane = e.lane AND b.seq = e.seq) AS body
FROM envelope e WHERE e.lane = $1 ORDER BY e.seq

-- name: lane_facts
SELECT dest, fact, once, state, seq, rule, occurred, settled, attempt, reason, detail, amount FROM fact WHERE lane = $1
ORDER BY settled, fact

-- name: lane_verdicts
SELECT seq, dest, rule, reason, detail, at FROM verdict WHERE lane = $1 ORDER BY at, seq

-- name: lane_attempts
SELECT seq, dest, at, fact, reason, detail, until FROM attempt WHERE lane = $1 ORDER BY at

-- name: destinations
WITH RECURSIVE d (dest) AS (
    (SELECT min(dest) FROM turn)
    UNION ALL
    SELECT (SELECT min(dest) FROM turn WHERE dest > d.dest) FROM d WHERE d.dest IS NOT NULL
)
SELECT dest FROM d WHERE dest IS NOT NULL

-- name: lane_waiting
SELECT w.dest, w.seq, t.due, t.attempt, t.held FROM work w JOIN turn t ON t.dest = w.dest AND t.lane = w.lane
WHERE w.lane = $1 AND w.dest = ANY ($2::text[]) ORDER BY w.dest, w.seq

-- name: parked
SELECT f.lane, l.tenant, l.name, f.dest, f.fact, f.once, f.state, f.rule, f.reason, f.detail, f.seq, f.settled,
    e.source, e.kind, e.topic, e.id
FROM fact f JOIN lane l ON l.n = f.lane LEFT JOIN envelope e ON e.lane = f.lane AND e.seq = f.seq
WHERE f.state = $1 AND f.state IN ('dead', 'uncertain', 'departed')
    AND (f.lane, f.dest, f.fact, f.once) > ($2, $3, $4, $5) ORDER BY f.lane, f.dest, f.fact, f.once LIMIT $6

-- name: parked_of_lane
SELECT f.lane, l.tenant, l.name, f.dest, f.fact, f.once, f.state, f.rule, f.reason, f.detail, f.seq, f.settled,
    e.source, e.kind, e.topic, e.id
FROM fact f JOIN lane l ON l.n = f.lane LEFT JOIN envelope e ON e.lane = f.lane AND e.seq = f.seq
WHERE f.lane = $1 AND f.state = $2

-- name: newest_document
SELECT e.seq FROM envelope e JOIN body b ON b.lane = e.lane AND b.seq = e.seq
WHERE e.lane = $1 AND e.source = $2 AND e.kind = $3 ORDER BY e.version DESC NULLS LAST, e.seq DESC LIMIT 1

-- name: ask
WITH asked AS (
    INSERT INTO work (dest, lane, seq, asked) VALUES ($1, $2, $3, 1)
    ON CONFLICT (dest, lane, seq) DO UPDATE SET asked = work.asked + 1 RETURNING (xmax = 0)::integer AS new
)
INSERT INTO turn (dest, lane, due, docs) SELECT $1, $2, least($4, DATABASE_NOW), 1 FROM asked
ON CONFLICT (dest, lane) DO UPDATE SET docs = turn.docs + (SELECT new FROM asked), held = NULL,
    due = CASE WHEN turn.owner IS NULL THEN least(turn.due, excluded.due) ELSE turn.due END

-- name: set_state
UPDATE fact SET state = $1, reason = $2, settled = $3
WHERE lane = $4 AND dest = $5 AND fact = $6 AND once = $7 AND state = $8

-- name: forget_fact
DELETE FROM fact WHERE lane = $1 AND dest = $2 AND fact = $3 AND once = $4 AND state = $5

-- name: put_hold
INSERT INTO hold (dest, rule, digest, since, detail) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (dest, rule) DO UPDATE SET digest = excluded.digest, since = excluded.since, detail = excluded.detail

-- name: holds
SELECT dest, rule, digest, since, detail FROM hold ORDER BY dest, rule

-- name: stuck
-- The oldest of the lanes whose rule is held, by the time at which it was tried first.
SELECT dest, min(first) FROM turn WHERE held IS NOT NULL AND dest = ANY ($1::text[]) GROUP BY dest

-- name: end_hold
DELETE FROM hold WHERE dest = $1 AND rule = $2

-- name: free_held
UPDATE turn t SET due = least($1, DATABASE_NOW), held = NULL WHERE t.held IS NOT NULL AND t.owner IS NULL
    AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.dest = t.dest AND h.rule = t.held)

-- name: release
WITH page AS (
    SELECT dest, lane FROM turn WHERE dest = $2 AND held = $3 AND owner IS NULL ORDER BY lane LIMIT 1000 FOR UPDATE
)
UPDATE turn t SET due = least($1, DATABASE_NOW), held = NULL FROM page WHERE t.dest = page.dest AND t.lane = page.lane

-- name: old_bodies
SELECT b.seq, b.lane, coalesce(nullif(e.came, 0), e.received), b.size
FROM (SELECT seq, lane, length(raw) AS size FROM body WHERE seq > $1 ORDER BY seq LIMIT $2) b
JOIN envelope e ON e.lane = b.lane AND e.seq = b.seq ORDER BY b.seq

-- name: busy_lanes
SELECT lane FROM turn WHERE dest = $1 AND lane = ANY ($2::bigint[])

-- name: unfinished_lanes
SELECT DISTINCT lane FROM fact WHERE lane = ANY ($1::bigint[])
    AND (state IN ('dead', 'uncertain', 'departed') OR settled >= $2)

-- name: drop_bodies
DELETE FROM body b USING unnest($1::bigint[], $2::bigint[]) AS w (lane, seq) WHERE b.lane = w.lane AND b.seq = w.seq

-- name: old_envelopes
SELECT seq, lane, coalesce(nullif(came, 0), received), 0 FROM envelope WHERE seq > $1 ORDER BY seq LIMIT $2

-- name: next_document
SELECT coalesce(nullif(came, 0), received) FROM envelope
WHERE seq > $1 AND coalesce(nullif(came, 0), received) <= $2 ORDER BY seq LIMIT 1

-- name: drop_envelopes
DELETE FROM envelope e USING unnest($1::bigint[], $2::bigint[]) AS w (lane, seq)
WHERE e.lane = w.lane AND e.seq = w.seq

-- name: drop_verdicts
DELETE FROM verdict v USING unnest($1::bigint[], $2::bigint[]) AS w (lane, seq) WHERE v.lane = w.lane AND v.seq = w.seq

-- name: drop_attempts
DELETE FROM attempt a USING unnest($1::bigint[], $2::bigint[]) AS w (lane, seq) WHERE a.lane = w.lane AND a.seq = w.seq

-- name: lanes_after
SELECT n, n, seen, 0 FROM lane WHERE n > $1 ORDER BY n LIMIT $2

-- name: next_lane
SELECT seen FROM lane WHERE n > $1 AND seen <= $2 ORDER BY n LIMIT 1

-- name: lock_lanes
SELECT n FROM lane WHERE n = ANY ($1::bigint[]) ORDER BY n FOR UPDATE

-- name: lanes_with_envelopes
SELECT DISTINCT lane FROM envelope WHERE lane = ANY ($1::bigint[])

-- name: drop_lanes
DELETE FROM lane WHERE n = ANY ($1::bigint[])

-- name: drop_lane_facts
DELETE FROM fact WHERE lane = ANY ($1::bigint[])

-- name: drop_lane_versions
DELETE FROM version WHERE lane = ANY ($1::bigint[])

-- name: drop_lane_aliases
DELETE FROM alias a USING unnest($1::bigint[]) AS w (lane) WHERE a.bucket = w.lane / 512 AND a.lane = w.lane

-- name: hide_names
UPDATE lane SET name = 'erased:' || n WHERE n = ANY ($1::bigint[]) AND name ~ '^customer(_[a-z]+)?:.'

-- name: drop_lane_names
DELETE FROM alias a USING unnest($1::bigint[]) AS w (lane)
WHERE a.bucket = w.lane / 512 AND a.lane = w.lane AND a.hash <> ALL ($2::bytea[])

-- name: salt
SELECT value FROM meta WHERE name = 'salt'

-- name: version
SELECT value FROM meta WHERE name = 'version'

-- name: meta
SELECT name, value FROM meta

-- name: served_again
UPDATE meta SET value = convert_to(
    greatest($1::bigint, DATABASE_NOW)::text, 'UTF8')
WHERE name = 'restored' AND value = '' RETURNING name

-- name: orders
SELECT n FROM lane WHERE n > $1 ORDER BY n LIMIT $2

-- name: order_documents
SELECT l.n, e.seq, l.tenant, l.name, e.id, e.source, e.topic, e.kind, e.version, e.occurred, e.received, b.headers, b.raw
FROM lane l JOIN envelope e ON e.lane = l.n LEFT JOIN body b ON b.lane = e.lane AND b.seq = e.seq
WHERE l.n > $1 AND l.n <= $2 AND e.received >= $3 AND e.received < $4
    AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.lane = e.lane AND v.seq = e.seq AND v.dest = '')

-- name: order_facts
SELECT lane, dest, fact, once, state, seq FROM fact WHERE lane > $1 AND lane <= $2

-- name: lanes_by_name
SELECT n, name FROM lane WHERE tenant = $1 AND name = ANY ($2::text[])

-- name: newest_stored
SELECT lane, max(version) FROM envelope WHERE source = $1 AND kind = $2 AND lane = ANY ($3::bigint[]) GROUP BY lane

-- name: facts_of
SELECT lane, dest, fact, once, state, amount FROM fact WHERE lane = ANY ($1::bigint[])

-- name: waiting_of
SELECT lane, dest FROM turn WHERE dest = ANY ($1::text[]) AND lane = ANY ($2::bigint[])

-- name: listed
SELECT e.seq, e.lane, l.tenant, l.name, e.source, e.topic, CASE e.came WHEN 0 THEN e.received ELSE e.came END,
    EXISTS (SELECT 1 FROM envelope o WHERE o.lane = e.lane AND o.seq > e.seq)
FROM envelope e JOIN lane l ON l.n = e.lane WHERE e.seq < $1 ORDER BY e.seq DESC LIMIT $2

-- name: listed_facts
SELECT lane, dest, state, reason, rule, fact, once, detail FROM fact WHERE lane = ANY ($1::bigint[])

-- name: listed_skips
SELECT lane, dest, rule, reason, detail FROM verdict WHERE lane = ANY ($1::bigint[])

-- name: recall
SELECT value FROM memory WHERE name = $1

-- name: memories
-- Names are compared as bytes, whatever the order of the database's language.
SELECT name, value, at FROM memory WHERE starts_with(name, $1) ORDER BY name COLLATE "C"

-- name: remember
INSERT INTO memory (name, value, at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at

-- name: positions
SELECT topic, part, next, doubtful FROM position WHERE source = $1

-- name: keep_positions
INSERT INTO position (source, topic, part, next)
SELECT $1, w.topic, w.part, w.next FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS w (topic, part, next)
ORDER BY w.topic, w.part
ON CONFLICT (source, topic, part) DO UPDATE SET next = excluded.next, doubtful = 0

-- name: take_turn
INSERT INTO memory (name, value, at) VALUES ($1, '', $2)
ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE memory.at <= $3 OR memory.at > $4 RETURNING true

-- name: block
INSERT INTO blocked (hash, at) SELECT hash, $2 FROM unnest($1::bytea[]) AS w (hash) ON CONFLICT DO NOTHING

-- name: lock_blocked
LOCK TABLE SCHEMA.blocked IN EXCLUSIVE MODE

-- name: allow
DELETE FROM blocked WHERE hash = ANY ($1::bytea[]) RETURNING hash

-- name: lanes_of_tenant
SELECT n FROM lane WHERE tenant = $1 AND n > $2 ORDER BY n LIMIT $3

-- name: names_of
SELECT tenant, name FROM lane WHERE n = ANY ($1::bigint[])

-- name: documents_of
SELECT lane, seq, source, id FROM envelope WHERE lane = ANY ($1::bigint[]) ORDER BY lane, seq

-- name: lock_turns
SELECT lane, owner FROM turn WHERE dest = ANY ($1::text[]) AND lane = ANY ($2::bigint[]) ORDER BY dest, lane FOR UPDATE

-- name: drop_lane_work
DELETE FROM work WHERE dest = ANY ($1::text[]) AND lane = ANY ($2::bigint[])

-- name: drop_lane_turns
DELETE FROM turn WHERE dest = ANY ($1::text[]) AND lane = ANY ($2::bigint[])

-- name: end_lane_facts
UPDATE fact SET state = CASE WHEN state IN ('dead', 'uncertain', 'departed') THEN $1 ELSE state END,
    reason = CASE WHEN state IN ('dead', 'uncertain', 'departed') THEN $2 ELSE reason END,
    settled = CASE WHEN state IN ('dead', 'uncertain', 'departed') THEN $3 ELSE settled END, detail = ''
WHERE lane = ANY ($4::bigint[])

-- name: requests_of_lane
SELECT fact, once FROM fact WHERE lane = $1 AND dest = '' AND state IN ('dead', 'dropped')
    AND reason IN ('not carried out yet', 'erased')

-- name: conclude
UPDATE fact SET state = $1, reason = $2, settled = $3, detail = ''
WHERE lane = $4 AND dest = '' AND fact = $5 AND once = $6 RETURNING lane
