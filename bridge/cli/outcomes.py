"""Say what became of facts that a person had sent again."""

from collections import Counter

import click

from bridge.views.outcomes import NOT_TRIED


def print_ends(ends: Counter[str], *, is_served: bool) -> bool:
    """Print the counts, the highest first. Returns whether some facts came back as they were, or worse."""
    for end, times in ends.most_common():
        click.echo(f"{times:>7}  {end}")
    if ends[NOT_TRIED]:
        click.echo(_LATER if is_served else _UNSERVED, err=True)
    return any(end.startswith(("dead", "uncertain")) for end in ends)


_LATER = "what was not tried yet waits for its destination or its turn: `orders show ORDER` tells of each"
_UNSERVED = "nobody serves this journal now: they are tried when the bridge runs"
