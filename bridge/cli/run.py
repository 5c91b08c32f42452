"""`run`: the service."""

import sys
from pathlib import Path

import click

from bridge import service, telemetry
from bridge.cli import options
from bridge.config import read_file


@click.command()
@options.config
def run(config: Path | None) -> None:
    """Serve: take deliveries in, send facts out, until SIGTERM or Ctrl-C.

    Exits 0 after a clean stop, 2 for a configuration that is wrong, 74 when the journal's disk fails.

    Example: attribution-bridge run --config bridge.yaml
    """
    settings = read_file(options.chosen(config))
    telemetry.set_up(level=settings.logs.level, style=settings.logs.style)
    sys.exit(service.run(settings))
