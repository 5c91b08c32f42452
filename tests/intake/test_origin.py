"""Where a partition begins, by what the group, the journal and the configuration say."""

import pytest

from bridge.intake.origin import origin_of
from bridge.intake.partition import Place
from bridge.journal import Position

PLACE, OTHER = Place("orders", 0), Place("orders", 1)
START, END = 0, 100


def _kept(offset):
    return {PLACE: Position(offset=offset)}


def _doubtful(offset, place=PLACE):
    return {place: Position(offset=offset, doubtful=True)}


@pytest.mark.parametrize(
    ("positions", "committed", "start", "expected"),
    [
        ({}, None, START, (0, "partition.placed")),
        ({}, None, END, (100, "partition.placed")),
        ({}, 50, START, (50, "partition.adopted")),
        (_kept(50), 50, START, (50, "")),
        (_kept(60), 50, START, (50, "")),  # stored and not committed: it is read again, and known
        (_kept(40), 50, START, (50, "partition.ahead")),
        (_kept(40), None, START, (0, "partition.placed")),
        (_doubtful(40), 50, START, (40, "partition.rewound")),
        (_doubtful(50), 50, START, (50, "")),
        (_doubtful(60), 50, START, (50, "")),
        (_doubtful(40), None, START, (0, "partition.placed")),
        (_doubtful(40), None, END, (40, "partition.rewound")),  # what came since is not only what comes from now on
        (_doubtful(400), 50, START, (0, "partition.rewound")),  # a topic that was made again
        (_doubtful(400), 50, END, (50, "")),
        (_doubtful(40, OTHER), 50, START, (0, "partition.rewound")),  # a partition that came after the copy
        (_doubtful(40, OTHER), 50, END, (50, "partition.adopted")),
        ({OTHER: Position(offset=40)}, 50, START, (50, "partition.adopted")),
    ],
)
def test_a_partition_begins_where_nothing_is_passed(positions, committed, start, expected):
    origin = origin_of(PLACE, positions, committed=committed, start=start, end=END)
    assert expected == (origin.offset, origin.event)
