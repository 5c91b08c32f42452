"""`version`: which version of the bridge this is."""

import platform
from importlib.metadata import version as version_of

import click

from bridge.cli import options


@click.command()
@options.as_json
def version(as_json: bool) -> None:  # noqa: FBT001  click passes flags so
    """Say which version this is.

    \b
    Example:
      attribution-bridge version --json
    """
    found = {"attribution-bridge": version_of("attribution-bridge"), "python": platform.python_version()}
    if as_json:
        options.print_json(found)
    else:
        click.echo(" ".join(f"{name} {number}" for name, number in found.items()))
