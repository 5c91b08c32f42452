"""The rows that every journal writes, from what travels: the counterpart of rows.py, which reads them.

Columns stand in the order of `dump.TABLES`; texts are such as every journal can hold.
"""

from collections.abc import Mapping, Sequence

import msgspec

from bridge.contract import Envelope, State
from bridge.journal import Claim, Done, Key, LaneNumber, Postponed, Progress, Settled
from bridge.journal.doubt import Doubt
from bridge.journal.rows import Row, micros, micros_or_none, moment_or_none, text


def envelope_row(envelope: Envelope, lane: LaneNumber, delivery: str) -> Row:
    """A row of `envelope`, without its number (`seq`). delivery: its id, as it is stored."""
    return (
        lane,
        delivery,
        envelope.source,
        envelope.topic,
        envelope.kind,
        micros_or_none(envelope.version),
        micros_or_none(envelope.occurred_at),
        micros(envelope.received_at),
        len(envelope.raw),
        micros(envelope.came_at) if envelope.came_at is not None else 0,
    )


def parked_on_arrival_row(envelope: Envelope, lane: LaneNumber, seq: int, delivery: str) -> Row:
    """A row of `fact`: its source says of the document that it is dead, and no destination is asked."""
    once = msgspec.json.encode([delivery]).decode()
    occurred, received = micros_or_none(envelope.occurred_at), micros(envelope.received_at)
    end = (seq, "", occurred, received, 0, str(envelope.reason), text(envelope.detail), "")
    return (lane, "", envelope.topic, text(once), State.DEAD.value, *end)


def skipped_on_arrival_row(envelope: Envelope, lane: LaneNumber, seq: int) -> Row:
    """A row of the history of skips: its source says of the document that no rule is to see it."""
    return (lane, seq, "", "", str(envelope.reason), "", micros(envelope.received_at))


def fact_row(claim: Claim, settled: Settled, now: int) -> Row:
    """A row of `fact`; now: microseconds since 1970."""
    return (
        claim.lane,
        claim.dest,
        settled.fact,
        text(settled.once),
        settled.state.value,
        claim.seq,
        settled.rule,
        micros_or_none(settled.occurred_at),
        now,
        claim.attempt + 1,
        settled.reason.value if settled.reason is not None else "",
        text(settled.detail),
        text(settled.amount),
    )


def skip_rows(claim: Claim, progress: Progress, now: int) -> Sequence[Row]:
    """Rows of the history of skips."""
    return [
        (claim.lane, claim.seq, claim.dest, skip.rule, skip.reason.value, text(skip.detail), now)
        for skip in progress.skips
    ]


def attempt_row(claim: Claim, end: Postponed, now: int) -> Row:
    """A row of `attempt`."""
    until = micros_or_none(end.until)
    return (claim.lane, claim.seq, claim.dest, now, end.fact, end.reason.value, text(end.detail), until)


def version_rows(claim: Claim, progress: Progress) -> Sequence[Row]:
    """A row of `version`, where the document was mapped to its end and no newer one was before."""
    envelope = claim.envelope
    if envelope.version is None or not isinstance(progress.end, Done) or claim.is_stale:
        return ()
    return ((claim.lane, claim.dest, envelope.source, envelope.kind, micros(envelope.version)),)


def begins_anew(claim: Claim, progress: Progress) -> bool:
    """Attempts are counted from 1 again: a fact became final, and the next one is tried for as long as any."""
    return claim.first_tried_at is not None and any(settled.state is not State.DEPARTED for settled in progress.settled)


def claim_of(  # noqa: PLR0913  what a claim is made of
    dest: str,
    row: Row,
    envelope: Envelope,
    *,
    facts: Mapping[Key, tuple[State, int]],
    newest: int | None,
    doubt: Doubt,
    united: frozenset[tuple[str, str]],
    by: tuple[int, int] = (0, 0),
) -> Claim:
    """The claim of a lane.

    row     lane, attempt, first_tried_at, seq, asked
    facts   of each key its state, and the number of the document that gave it
    newest  the newest version that was mapped, in microseconds since 1970
    doubt   what the journal cannot know, if it was put back
    united  names of facts that were ever said to be one
    by      the lease, and the number of the claim, where several processes share a journal
    """
    lane, attempt, first, seq, asked, *_ = row
    return Claim(
        dest=dest,
        lane=lane,
        seq=seq,
        attempt=attempt,
        first_tried_at=moment_or_none(first),
        envelope=envelope,
        held={key: state for key, (state, _) in facts.items()},
        own=frozenset(key for key, (_, by) in facts.items() if by == seq),
        newest=moment_or_none(newest),
        asked=asked,
        lease=by[0],
        number=by[1],
        doubtful=seq <= doubt.seq and not asked,
        restored=None if asked else doubt.restored,
        united=united,
    )
