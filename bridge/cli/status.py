"""`status`: whether all is well, on one screen."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from bridge.cli import options, tables
from bridge.views.live import Live, asked
from bridge.views.overview import Line, Recorded, is_same_journal, lines_of, recorded


@click.command()
@options.journal
@click.option("--private", "url", default="", help="Address of the private port. Default: what the configuration says.")
@options.as_json
def status(config: Path | None, path: Path | None, url: str, as_json: bool) -> None:  # noqa: FBT001
    """Say on one screen whether all is well: bridge, door, journal, destinations, streams, and what waits for a person.

    Asks the running bridge and reads its journal. On a stopped bridge it says what the journal knows. Exits 0 if all is
    well, 1 if something is not.

    \b
    Examples:
      attribution-bridge status
      attribution-bridge status --json
    """
    store = options.store(config, path)
    found, live = options.wait_for(_found(config, path, url or options.private_url(config)))
    if isinstance(live, Live) and not is_same_journal(store.whereabouts, live.journal):
        live = f"the bridge that answers works with another journal, {live.journal}"
    lines = list(lines_of(found, live, journal=store.name))
    is_well = all(line.is_well for line in lines)
    if as_json:
        options.print_json(_plain(found, live, lines))
    else:
        _print(lines)
    sys.exit(0 if is_well else 1)


async def _found(config: Path | None, path: Path | None, url: str) -> tuple[Recorded, Live | str]:
    async with options.to_read(config, path) as journal:
        return await recorded(journal), await asked(url)


def _print(lines: Sequence[Line]) -> None:
    rows: list[list[tables.Cell]] = []
    section = ""
    for line in lines:
        heading = line.section if line.section != section else ""
        style = "green" if line.is_well else "bold red"
        rows.append([" " if line.is_well else ("!", style), (heading, "bold"), (line.subject, style), line.text])
        section = line.section
    tables.print_table(rows)
    count = sum(not line.is_well for line in lines)
    click.echo("all is well" if not count else f"{count} of these {'needs' if count == 1 else 'need'} you")


def _plain(found: Recorded, live: Live | str, lines: Sequence[Line]) -> dict[str, object]:
    levels = found.levels
    return {
        "well": all(line.is_well for line in lines),
        "problems": [
            {"about": line.section, "state": line.subject, "detail": line.text} for line in lines if not line.is_well
        ],
        "bridge": live if isinstance(live, Live) else None,
        "journal": {"free": levels.free, "waiting": dict(levels.waiting), "overdue_s": dict(levels.overdue)},
        "outages": dict(found.outages),
        "held": [asdict(hold) for hold in found.holds],
        "parked": [asdict(group) for group in found.parked],
        "reconciled": [asdict(shop) for shop in found.reconciled],
    }
