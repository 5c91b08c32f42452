"""`check`: every problem of a configuration at once."""

import sys
from pathlib import Path

import click

from bridge.cli import connections, options
from bridge.config import Settings, read_file
from bridge.contract import Source, StreamSource, WebhookSource
from bridge.errors import ConfigurationError, Problem
from bridge.intake.listener import refusals
from bridge.intake.webhook import PATH
from bridge.mapping.rules_yaml import WIDTH, shown


@click.command()
@options.config
@click.option("--connect", is_flag=True, help="Ask journal, APIs, shops and brokers whether they let us in.")
@click.option("--show", is_flag=True, help="Print the resulting rules, each line with the place that it comes from.")
@options.as_json
def check(config: Path | None, connect: bool, show: bool, as_json: bool) -> None:  # noqa: FBT001  click's flags
    """Read a configuration as `run` does, and say everything that is wrong with it.

    Exits 2 with a line for each problem: file, line, path and what to write instead. With --connect the journal is
    opened, and each API, shop and broker is asked something harmless; exits 1 if one does not let us in.

    \b
    Examples:
      attribution-bridge check --config bridge.yaml
      attribution-bridge check --connect
    """
    path = options.chosen(config)
    settings = read_file(path)
    if show:
        _show(settings)
        return
    _check_ports(path, settings)
    if as_json:
        options.print_json(_summary(settings))
        return
    _print_settings(path, settings)
    if connect and not options.wait_for(connections.tried(settings)):
        sys.exit(1)


def _check_ports(path: Path, settings: Settings) -> None:
    """Raise ConfigurationError if `run` could not listen where the configuration says."""
    takes_webhooks = any(isinstance(source, WebhookSource) for source in settings.sources.values())
    door = settings.door if takes_webhooks else None
    places = {"door": door, "private": settings.private, "console": settings.console}
    problems = [
        Problem(message=f"{refusal}; choose another with `{name}: {{host: ..., port: ...}}`", file=str(path))
        for name, place in places.items()
        for refusal in (refusals(place.host, place.port) if place is not None else ())
    ]
    if problems:
        raise ConfigurationError(problems)


def _print_settings(path: Path, settings: Settings) -> None:
    unfed = settings.unfed()
    click.echo(f"{path} is good" + (", but:" if unfed else ""))
    for sentence in unfed:
        click.echo(f"  {sentence}")
    for name, source in settings.sources.items():
        click.echo(f"  source {name}  {_way_in(name, source)}")
    for name, outlet in settings.destinations.items():
        mode = "shadow: nothing is written there" if outlet.shadow else "live"
        click.echo(f"  destination {name} ({outlet.connector}, {mode})")
        for rule, fact in settings.rules.facts(name).items():
            click.echo(f"    rule {rule} -> {fact}")
    for rule, place in settings.switched_off.items():
        click.echo(f"  rule {rule} is switched off by {place}")
    for rule in settings.opt_in:
        click.echo(f"  rule {rule} is off, and `rules: {{{rule}: true}}` switches it on")


def _show(settings: Settings) -> None:
    click.echo("rules:")
    for written in settings.written:
        for line in shown(written):
            click.echo(line)
    for rule, where in settings.switched_off.items():
        click.echo(f"  {f'{rule}: false':<{WIDTH}}  # {where}")


def _way_in(name: str, source: Source) -> str:
    if not isinstance(source, StreamSource):
        return f"POST {PATH}{name}"
    read = source.subscription()
    return f"reads {read.pattern or ', '.join(read.topics)} as group {read.group}"


def _summary(settings: Settings) -> dict[str, object]:
    return {
        "sources": sorted(settings.sources),
        "switched_off": dict(settings.switched_off),
        "opt_in": list(settings.opt_in),
        "unfed": list(settings.unfed()),
        "destinations": {
            name: {"mode": "shadow" if outlet.shadow else "live", "facts": dict(settings.rules.facts(name))}
            for name, outlet in settings.destinations.items()
        },
    }
