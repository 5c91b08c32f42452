"""Find the shops that a person means, of those that may be asked, and the span of time."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bridge.cli import options
from bridge.config import Settings, read_file
from bridge.contract import known_as
from bridge.errand import Admin
from bridge.errors import ConfigurationError
from bridge.jobs.schedule import admins
from bridge.setting_types import MadeUp

source = click.option("--source", default="", help="One source only.")
shop = click.option("--shop", default="", help="One shop only.")


def meant(settings: Settings, asked: Mapping[str, Any], *, connector: str = "") -> Sequence[tuple[str, str, Admin]]:
    """The selection of --source and --shop: (source, tenant, its errands) of each. Raises UsageError if there is
    none."""
    sources = [name for name, of in settings.connectors.items() if connector in ("", of)]
    if not sources:
        raise click.UsageError(f"no source of this configuration is of the connector {connector}")
    if asked["source"] and asked["source"] not in sources:
        raise click.UsageError(f"there is no source {asked['source']}; there are: {', '.join(sources)}")
    found = [
        (name, tenant, admin)
        for name, admin in admins(settings).items()
        if name in sources and asked["source"] in ("", name)
        for tenant in admin.tenants()
        if asked["shop"] in ("", *known_as([settings.sources[name]], tenant))
    ]
    if not found:
        raise click.UsageError(
            "the bridge may not ask any of these shops: write `access:` for the shop in the source's `shops:`"
        )
    return found


def names_of(config: Path | None, shop: str) -> Sequence[str]:
    """All names of the shop that has or had this name, by the configuration; that name alone where it says no other or
    cannot be read. No secret is needed."""
    with suppress(ConfigurationError):
        return known_as(read_file(options.chosen(config), environ=MadeUp()).sources.values(), shop)
    return (shop,)


def span(asked: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """What --since and --until mean; without --until, until now."""
    since = options.moment("since", asked["since"], now)
    until = options.moment("until", asked["until"], now) if asked["until"] else now
    if until <= since:
        raise click.UsageError("--until is not after --since")
    return since, until


def say(text: str) -> None:
    """Print a text beside the results, to stderr."""
    click.echo(text, err=True)
