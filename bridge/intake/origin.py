"""Decide where a partition begins: by what the group has, what the journal has, and where the configuration starts.
Pure.

A journal that was put back is behind its group: the group's position is that of the journal that was lost. The records
between the two positions are read again, once. From then on the group's position is the journal's own again.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from bridge.intake.partition import Place
from bridge.journal import Position

Positions: TypeAlias = Mapping[tuple[str, int], Position]
"""What a journal has of one source."""

REWOUND: Final = "partition.rewound"


class Origin(NamedTuple):
    """The beginning of a partition, and what is logged of it.

    offset  the next to be read
    event   the log event; empty: nothing is to be logged
    """

    offset: int
    event: str = ""
    detail: str = ""


def may_start(place: Place, committed: int | None, positions: Positions) -> bool:
    """Whether it matters where the configuration starts."""
    return committed is None or is_put_back(place, positions)


def is_put_back(place: Place, positions: Positions) -> bool:
    """The journal was put back since it kept this position; of a partition without one, since it kept any of them."""
    own = positions.get(place)
    return own.doubtful if own is not None else any(each.doubtful for each in positions.values())


def origin_of(place: Place, positions: Positions, *, committed: int | None, start: int, end: int) -> Origin:
    """Decide where a partition begins. start: where the configuration says. end: of the log."""
    own = positions.get(place)
    base = start if committed is None else committed
    if is_put_back(place, positions):
        # A topic that does not reach so far was made again since.
        floor = own.offset if own is not None and own.offset <= end else start
        if floor < base:
            return Origin(floor, REWOUND, _REWOUND.format(floor=floor, base=base))
    if committed is None:
        return Origin(base, "partition.placed", "it had no committed position")
    if own is None:
        return Origin(base, "partition.adopted", _ADOPTED)
    if own.offset < base:
        return Origin(
            base, "partition.ahead", _AHEAD.format(own=own.offset, base=base, place=":".join(map(str, place)))
        )
    return Origin(base)


_REWOUND: Final = (
    "the journal was put back: what is from offset {floor} up to {base} came after the copy and is read again; what it "
    "tells may have been sent (see `uncertain list`)"
)
_AHEAD: Final = (
    "the group is ahead of this journal: offsets {own} to {base} were passed by a person, or read by a bridge with "
    "another journal, or this one was put back and nobody said so. In the last case stop the bridge, run "
    "`attribution-bridge journal doubt`, and set the group back: "
    "kafka-consumer-groups --reset-offsets --to-offset {own} --topic {place}"
)
_ADOPTED: Final = (
    "the group has a position and this journal has none: it is new, or of an older version. Read on from the group's; "
    "what another journal has taken in before is not in this one. To have it read here, stop the bridge and set the "
    "group's position back: kafka-consumer-groups --reset-offsets --to-datetime ..."
)
