"""`schema`: the configuration as a JSON Schema."""

import click
import msgspec

from bridge.describing import schema as whole


@click.command()
def schema() -> None:
    """Print a JSON Schema of the whole configuration, for editors and other tools.

    In an editor that reads modelines, the first line of bridge.yaml may be:

    # yaml-language-server: $schema=bridge.schema.json

    Example: attribution-bridge schema > bridge.schema.json
    """
    click.echo(msgspec.json.format(msgspec.json.encode(whole(), enc_hook=str), indent=2).decode())
