"""`journal`: the journal itself."""

from pathlib import Path

import click

from bridge.cli import options
from bridge.journal import Stats


@click.group()
def journal() -> None:
    """Look at the journal."""


@journal.command()
@options.journal
@options.as_json
def stats(config: Path | None, path: Path | None, as_json: bool) -> None:  # noqa: FBT001  click passes flags so
    """Count what waits and what became of the rest.

    Example: attribution-bridge journal stats --json
    """
    found = options.wait_for(_stats(config, path))
    if as_json:
        options.print_json(_plain(found))
        return
    click.echo(f"{found.envelopes} documents of {found.lanes} orders, {found.bodies} with their body")
    free = "" if found.free is None else f", {found.free / 1e9:.1f} GB free"
    click.echo(f"{found.bytes / 1e6:.1f} MB on disk{free}")
    for dest, count in found.waiting.items():
        since = f", due since {options.when(found.oldest_due[dest])}" if dest in found.oldest_due else ""
        click.echo(f"{dest}: {count} orders wait{since}")
    for (dest, state), count in sorted(found.facts.items()):
        click.echo(f"{dest or '-'}: {count} facts {state}")


async def _stats(config: Path | None, path: Path | None) -> Stats:
    async with options.to_read(config, path) as found:
        return await found.stats()


def _plain(found: Stats) -> dict[str, object]:
    return {
        "documents": found.envelopes,
        "orders": found.lanes,
        "bodies": found.bodies,
        "bytes": found.bytes,
        "free": found.free,
        "waiting": dict(found.waiting),
        "oldest_due": dict(found.oldest_due),
        "facts": [
            {"destination": dest, "state": state, "count": count}
            for (dest, state), count in sorted(found.facts.items())
        ],
    }
