"""A trial is one world: `make prove PART=world SEED=7` runs that of a seed again, to the step."""

from collections import Counter
from collections.abc import Callable, Sequence

from tests.world import plan, world
from tests.world.plan import Happening

_TRIES = 120
"""Worlds that are tried to find a shorter one that breaks too."""


def trial(seed: int) -> Counter[str]:
    """Run the world of a seed. Raises AssertionError with what broke, and with the fewest happenings that break it."""
    happenings = plan.drawn(seed)
    try:
        return world.run(seed, happenings) + Counter({"worlds": 1})
    except AssertionError as broken:
        fewer = shortened(happenings, lambda some: breaks(seed, some))
        lines = "\n".join(f"    {each}" for each in fewer)
        raise AssertionError(
            f"{broken}\n  seed {seed}, {len(happenings)} happenings; it breaks with these {len(fewer)} alone:\n{lines}"
        ) from broken


def breaks(seed: int, happenings: Sequence[Happening]) -> bool:
    """Whether the world of these happenings breaks, in whatever way."""
    try:
        world.run(seed, happenings)
    except AssertionError:
        return True
    return False


def shortened(whole: Sequence[Happening], breaks: Callable[[Sequence[Happening]], bool]) -> Sequence[Happening]:
    """Leave out as many happenings as one can while it still breaks: halves first, then smaller pieces."""
    some, size, tries = list(whole), max(1, len(whole) // 2), 0
    while size:
        index = 0
        while index < len(some) and tries < _TRIES:
            fewer = some[:index] + some[index + size :]
            tries += 1
            if breaks(fewer):
                some = fewer
            else:
                index += size
        size //= 2
    return some
