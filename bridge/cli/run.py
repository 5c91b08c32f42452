"""`run`: the service."""

import sys
from pathlib import Path

import click

from bridge import service, telemetry
from bridge.cli import options
from bridge.config import read_file
from bridge.errors import ConfigurationError


@click.command()
@options.config
def run(config: Path | None) -> None:
    """Serve until SIGTERM or Ctrl-C: take deliveries in, send facts out.

    Exits 0 after a clean stop, 2 if the configuration is wrong, 74 if the journal's disk fails.

    \b
    Example:
      attribution-bridge run --config bridge.yaml
    """
    try:
        settings = read_file(options.chosen(config))
    except ConfigurationError as wrong:
        wrong.add_note("nothing was started: put these right, and ask again with `attribution-bridge check`")
        raise
    telemetry.set_up(level=settings.logs.level, style=settings.logs.style)
    sys.exit(service.run(settings))
