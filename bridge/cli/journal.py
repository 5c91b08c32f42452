"""`journal`: the journal itself."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from bridge import opening
from bridge.cli import options
from bridge.config import JournalSettings
from bridge.journal import Pruned, Retention, Stats


@click.group()
def journal() -> None:
    """Look at the journal, make it, forget what is old."""


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


@journal.command()
@options.journal
def init(config: Path | None, path: Path | None) -> None:
    """Make the journal, or bring it to the version of this program. Once made it is left as it is.

    With Postgres this is the only command that needs the right to make tables; `run` refuses to start before it.

    Example: attribution-bridge journal init --config bridge.yaml
    """
    settings = options.journal_settings(config, path)
    made = options.wait_for(opening.init(settings))
    click.echo(f"{'made' if made else 'is there already'}: {opening.name_of(settings)}")


@journal.command()
@options.journal
@options.as_json
def prune(config: Path | None, path: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Forget now what is past its retention, as a running bridge does every hour. A SQLite journal must not be in use.

    Example: attribution-bridge journal prune
    """
    pruned = options.wait_for(_prune(options.journal_settings(config, path)))
    if as_json:
        options.print_json(asdict(pruned))
    else:
        click.echo(f"forgot {pruned.bodies} bodies, {pruned.envelopes} documents, {pruned.lanes} orders")


async def _prune(settings: JournalSettings) -> Pruned:
    keep = settings.keep
    retention = Retention(bodies=keep.bodies, history=keep.history, keys=keep.keys)
    total = Pruned(more=True)
    async with opening.serving(settings, destinations=(), released=lambda _dest, _rule: None) as found:
        while total.more:
            step = await found.prune(retention, now=datetime.now(UTC))
            total = Pruned(
                bodies=total.bodies + step.bodies,
                envelopes=total.envelopes + step.envelopes,
                lanes=total.lanes + step.lanes,
                more=step.more,
            )
    return total


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
