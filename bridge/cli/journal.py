"""`journal`: the journal itself."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import click

from bridge import clock, journals
from bridge.cli import options
from bridge.cli.parked import warn_of
from bridge.config.sections import JournalSettings
from bridge.delivery.outage import Outage, outage_of
from bridge.errors import JournalError, JournalInUse
from bridge.journal import Hold, Pruned, Stats
from bridge.journal.dump import Sum, header_of, read_in, write_out
from bridge.journal.durable import flush
from bridge.journal.ownership import made_anew
from bridge.journal.store import Store

_IN_DOUBT = (
    "what was not final in it may have been sent since, and so may what happens until the bridge starts with it: see "
    "`uncertain list` once it has run"
)
_NO_DESTINATION = "of no destination (requests of a platform, what could not be read)"


@click.group()
def journal() -> None:
    """Look at the journal, make it, move it, back it up, remove what is old."""


@journal.command()
@options.journal
@options.as_json
def stats(config: Path | None, path: Path | None, as_json: bool) -> None:  # noqa: FBT001  click passes flags so
    """Count what waits and what became of the rest.

    \b
    Example:
      attribution-bridge journal stats --json
    """
    found, troubles, holds = options.wait_for(_stats(config, path))
    if as_json:
        options.print_json(_plain(found, troubles, holds))
        return
    click.echo(f"{found.envelopes} documents of {found.lanes} orders, {found.bodies} with their body")
    free = "" if found.free is None else f", {found.free / 1e9:.1f} GB free"
    inside = "" if found.inside is None else f", {found.inside / 1e6:.1f} MB of it free for what comes next"
    click.echo(f"{found.bytes / 1e6:.1f} MB on disk{inside}{free}")
    for dest, count in found.waiting.items():
        since = f", due since {options.when(found.oldest_due[dest])}" if dest in found.oldest_due else ""
        why = f"; it {troubles[dest]}" if dest in troubles else ""
        click.echo(f"{dest}: {count} orders wait{since}{why}")
    for (dest, state), count in sorted(found.facts.items()):
        click.echo(f"{dest or _NO_DESTINATION}: {count} facts {state}")
    warn_of(holds)


@journal.command()
@options.journal
def init(config: Path | None, path: Path | None) -> None:
    """Make the journal, or bring it to the version of this program. A journal of this version is left as it is.

    With Postgres this is the only command that needs the right to make tables; `run` refuses to start before it.

    \b
    Example:
      attribution-bridge journal init --config bridge.yaml
    """
    store = options.store(config, path)
    made = options.wait_for(store.init())
    click.echo(f"{'made' if made else 'is there already'}: {store.name}")
    for sentence in options.wait_for(store.weaknesses()):
        click.echo(f"  {sentence}", err=True)


@journal.command()
@options.journal
@options.as_json
def prune(config: Path | None, path: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Remove now what is past its retention, as a running bridge does every hour. A SQLite journal must not be in use.

    \b
    Example:
      attribution-bridge journal prune
    """
    pruned = options.wait_for(_prune(options.journal_settings(config, path)))
    if as_json:
        options.print_json(asdict(pruned))
    else:
        free = (
            "" if pruned.inside is None else f"; {pruned.inside / 1e6:.1f} MB of the file are free for what comes next"
        )
        click.echo(f"removed {pruned.bodies} bodies, {pruned.envelopes} documents, {pruned.lanes} orders{free}")


@journal.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.journal
def export_(file: Path, config: Path | None, path: Path | None) -> None:
    """Write the whole journal into one file, to move it to another kind of journal. Stop the bridge first.

    An existing FILE is replaced once the new one is whole.

    \b
    Example:
      attribution-bridge journal export moving.journal
    """
    options.wait_for(_write_out(options.store(config, path), file, whole=True))


@journal.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.journal
def backup(file: Path, config: Path | None, path: Path | None) -> None:
    """Write the journal of this moment into one file, also beside a running bridge.

    An existing FILE is replaced once the new one is whole. Until then, and if the backup fails, it stays as it was.

    \b
    Example:
      attribution-bridge journal backup "backup-$(date +%F).journal"
    """
    options.wait_for(_write_out(options.store(config, path), file, whole=False))


@journal.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.journal
def import_(file: Path, config: Path | None, path: Path | None) -> None:
    """Make a new journal of what `journal export` wrote, keys included, and prove that all of it is there.

    \b
    Example:
      attribution-bridge journal import moving.journal --config postgres.yaml
    """
    options.wait_for(_read_in(options.store(config, path), file, restored=False))


@journal.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.journal
def restore(file: Path, config: Path | None, path: Path | None) -> None:
    """Make a new journal of a backup. What was not final in it may have been sent since, and so may all that happens
    until the bridge starts with it. Of both, unrepeatable facts become uncertain, and repeatable ones are sent.

    \b
    Example:
      attribution-bridge journal restore backup-2026-11-20.journal
    """
    options.wait_for(_read_in(options.store(config, path), file, restored=True))


@journal.command()
@options.journal
def doubt(config: Path | None, path: Path | None) -> None:
    """Say that the journal was put back by other means than `journal restore`: a snapshot of its volume, a backup of
    its database. It is then treated as if it had been restored. Nobody may work with it.

    \b
    Example:
      attribution-bridge journal doubt --config bridge.yaml
    """
    store = options.store(config, path)
    options.wait_for(store.doubt())
    click.echo(f"{store.name}: {_IN_DOUBT}")


async def _write_out(store: Store, file: Path, *, whole: bool) -> None:
    with _written(file) as out:
        async with store.exporting() as source:
            if whole and not source.whole:
                raise JournalError("a bridge works with this journal: stop it to export, or make a `journal backup`")
            source.whole = whole
            with options.progress("writing", await source.count()) as bar:
                sums = await write_out(source, out, bar.update)
    click.echo(f"{file}: {_summed(sums)}")


@contextmanager
def _written(file: Path) -> Iterator[BinaryIO]:
    """Write a file aside, so that it is there as a whole or stays as it was, also after a power cut. Raises
    JournalError if it cannot be written."""
    part = file.with_name(file.name + ".part")
    try:
        with os.fdopen(made_anew(part), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
        flush(file.absolute().parent)
    except OSError as problem:
        raise JournalError(f"cannot write {file}: {os.strerror(problem.errno or 0)}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


async def _read_in(store: Store, file: Path, *, restored: bool) -> None:
    with file.open("rb") as given:
        header = header_of(given)
        if not header.whole and not restored:
            raise JournalError("this is the backup of a moment, more was sent since: use `journal restore`")
        async with store.importing() as target:
            with options.progress("reading", header.rows) as bar:
                sums = await read_in(target, given, header, bar.update)
            if restored:
                await target.doubt()
            positions = [row async for rows in target.pages("position") for row in rows]
    click.echo(f"{store.name}: {_summed(sums)}; counts and digests agree")
    if restored:
        click.echo(_IN_DOUBT)
        click.echo("people whom you erased after the backup was made are in it again: erase them once more")
        for source, topic, part, offset, _ in positions:
            click.echo(f"{source}: {topic}/{part} is read again from offset {offset}")
    elif header.at:
        click.echo(
            f"it was written {options.when(header.moment)}: if the bridge went on with the old journal after that, say "
            "`attribution-bridge journal doubt` before you start it with this one"
        )


def _summed(sums: Mapping[str, Sum]) -> str:
    counts = {"orders": "lane", "documents": "envelope", "bodies": "body", "keys": "fact", "waiting": "work"}
    return ", ".join(f"{sums[table].count} {name}" for name, table in counts.items())


async def _prune(settings: JournalSettings) -> Pruned:
    retention = journals.retention_of(settings.keep)
    total = Pruned(more=True)
    try:
        async with journals.store_of(settings).serving(destinations=(), released=lambda _dest, _rule: None) as found:
            while total.more:
                step = await found.prune(retention, now=clock.now())
                total = Pruned(
                    bodies=total.bodies + step.bodies,
                    envelopes=total.envelopes + step.envelopes,
                    lanes=total.lanes + step.lanes,
                    more=step.more,
                    inside=step.inside,
                )
    except JournalInUse as problem:
        raise JournalInUse(f"{problem}; a running bridge forgets what is old by itself, every hour") from None
    return total


async def _stats(config: Path | None, path: Path | None) -> tuple[Stats, Mapping[str, Outage], Sequence[Hold]]:
    """Read the counts of the journal, why nothing is sent where something waits, and the rules that are held."""
    async with options.to_read(config, path) as journal:
        found = await journal.stats()
        troubles = {dest: await outage_of(journal, dest) for dest in found.waiting}
        holds = await journal.holds()
    return found, {dest: trouble for dest, trouble in troubles.items() if trouble is not None}, holds


def _plain(found: Stats, troubles: Mapping[str, Outage], holds: Sequence[Hold]) -> dict[str, object]:
    return {
        "documents": found.envelopes,
        "orders": found.lanes,
        "bodies": found.bodies,
        "bytes": found.bytes,
        "free": found.free,
        "free_inside": found.inside,
        "waiting": dict(found.waiting),
        "oldest_due": dict(found.oldest_due),
        "troubles": dict(troubles),
        "holds": [asdict(hold) for hold in holds],
        "facts": [
            {"destination": dest, "state": state, "count": count}
            for (dest, state), count in sorted(found.facts.items())
        ],
    }
