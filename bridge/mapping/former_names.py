"""Names that are one: what a fact is called by these rules, was called before them, or will be called after them.

A key under any of them holds the fact. Rules say it by `formerly:`. A journal remembers what any rules ever said. So a
configuration that is taken back, or a replica with older rules, knows the name that came after its own.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

Pair: TypeAlias = tuple[str, str]
"""A fact and a name that it had before."""

NONE: frozenset[Pair] = frozenset()


def family(
    fact: str, *, made: Collection[str], written: Mapping[str, Sequence[str]], united: Collection[Pair]
) -> Sequence[str]:
    """All names of a fact, its own first.

    Two names that the rules make side by side are two facts, whatever was said before; but what a rule itself says of
    its fact holds.

    made     the facts that the rules make
    written  facts to the names that their rules say they had before
    united   what the journal remembers
    """
    own = written.get(fact, ())
    beside: dict[str, list[str]] = defaultdict(list)
    for one, other in (*united, *((name, old) for name, olds in written.items() for old in olds)):
        beside[one].append(other)
        beside[other].append(one)
    found = dict.fromkeys((fact, *own))
    waiting = [fact, *(old for old in own if old not in made)]
    while waiting:
        for name in beside[waiting.pop()]:
            if name not in found and name not in made:
                found[name] = None
                waiting.append(name)
    return tuple(found)
