"""Forgetting, in small steps: bodies first, then history, then keys. Each function runs inside one transaction."""

import sqlite3
from collections.abc import Callable, Sequence

from bridge.journal import LaneNumber, Pruned
from bridge.journal.ages import MOST_BYTES, NEXT, Limits, old, within_bytes
from bridge.journal.rows import BUCKET
from bridge.journal.sqlite.disk import free_inside
from bridge.journal.sqlite.statements import fetched, run, statements


class Pruning:
    """Remembers where the last step ended, so that what must stay is not looked at in every step of one round."""

    def __init__(self, destinations: Callable[[sqlite3.Connection], Sequence[str]]) -> None:
        self._destinations = destinations
        self._after = {"old_bodies": 0, "old_envelopes": 0, "lanes_after": 0}

    def step(self, connection: sqlite3.Connection, limits: Limits, limit: int) -> Pruned:
        bodies, history, keys = limits.bodies, limits.history, limits.keys
        old_bodies, more_bodies = self._page(connection, "old_bodies", bodies, limits.now, limit)
        old, more_history = self._page(connection, "old_envelopes", history, limits.now, limit)
        lanes, more_lanes = self._page(connection, "lanes_after", keys, limits.now, limit)
        return Pruned(
            bodies=self._drop_bodies(connection, old_bodies, bodies),
            envelopes=self._drop_envelopes(connection, old, history),
            lanes=self._drop_lanes(connection, [lane for _, lane in lanes], keys),
            more=more_bodies or more_history or more_lanes,
            inside=free_inside(connection),
        )

    def _page(
        self, connection: sqlite3.Connection, name: str, before: int, now: int, limit: int
    ) -> tuple[list[tuple[int, LaneNumber]], bool]:
        """The next rows, as (number, lane), up to the first that is not old. Numbers grow with time, so rows that are
        young need not be looked at. A page is bounded by bytes too: what is deleted is overwritten, and goes through
        the log."""
        rows = connection.execute(statements()[name], (self._after[name], limit)).fetchall()
        page = rows[: within_bytes([size for *_, size in rows], MOST_BYTES)]
        following = None
        if page and page[-1][2] > now:
            found = connection.execute(statements()[NEXT[name]], (page[-1][0], now)).fetchone()
            following = found[0] if found else None
        gone = old([row[:3] for row in page], before=before, now=now, following=following)
        more = len(gone) == len(page) and (len(page) < len(rows) or len(page) == limit)
        self._after[name] = gone[-1][0] if more else 0
        return gone, more

    def _busy(self, connection: sqlite3.Connection, lanes: Sequence[LaneNumber], since: int) -> set[LaneNumber]:
        """Lanes with something that waits, is parked, or became final after `since`."""
        rows = [(lane,) for lane in dict.fromkeys(lanes)]
        busy = {lane for (lane,) in fetched(connection, "unfinished_lanes", rows, after=(since,))}
        for dest in self._destinations(connection):
            busy.update(lane for (lane,) in fetched(connection, "busy_lanes", rows, before=(dest,)))
        return busy

    def _drop_bodies(self, connection: sqlite3.Connection, old: Sequence[tuple[int, LaneNumber]], since: int) -> int:
        busy = self._busy(connection, [lane for _, lane in old], since)
        return run(connection, "drop_bodies", [(seq,) for seq, lane in old if lane not in busy])

    def _drop_envelopes(self, connection: sqlite3.Connection, old: Sequence[tuple[int, LaneNumber]], since: int) -> int:
        busy = self._busy(connection, [lane for _, lane in old], since)
        gone = [(seq, lane) for seq, lane in old if lane not in busy]
        run(connection, "drop_bodies", [(seq,) for seq, _ in gone])
        run(connection, "drop_verdicts", [(lane, seq) for seq, lane in gone])
        run(connection, "drop_attempts", [(lane, seq) for seq, lane in gone])
        return run(connection, "drop_envelopes", [(seq,) for seq, _ in gone])

    def _drop_lanes(self, connection: sqlite3.Connection, lanes: Sequence[LaneNumber], since: int) -> int:
        rows = [(lane,) for lane in lanes]
        living = {lane for (lane,) in fetched(connection, "lanes_with_envelopes", rows)}
        living |= {lane for (lane,) in fetched(connection, "unfinished_lanes", rows, after=(since,))}
        gone = [(lane,) for lane in lanes if lane not in living]
        run(connection, "drop_lane_facts", gone)
        run(connection, "drop_lane_versions", gone)
        run(connection, "drop_lane_aliases", [(lane // BUCKET, lane) for (lane,) in gone])
        return run(connection, "drop_lanes", gone)
