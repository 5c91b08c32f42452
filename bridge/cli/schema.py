"""`schema`: the configuration as a JSON Schema, and fields of documents from samples."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec

from bridge.cli import options
from bridge.cli.sender import payload
from bridge.config.json_schema import schema as whole
from bridge.contract import Json
from bridge.mapping.inference import inferred
from bridge.mapping.rules_yaml import as_yaml
from bridge.mapping.values import exact
from bridge.surrogates import decoded


@click.group(invoke_without_command=True)
@click.pass_context
def schema(context: click.Context) -> None:
    """Print a JSON Schema of the whole configuration, for editors and other tools.

    If your editor reads modelines, make this the first line of bridge.yaml:

    # yaml-language-server: $schema=bridge.schema.json

    \b
    Example:
      attribution-bridge schema > bridge.schema.json
    """
    if context.invoked_subcommand is None:
        click.echo(msgspec.json.format(msgspec.json.encode(whole(), enc_hook=str), indent=2).decode())


@schema.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@options.as_json
def infer(files: Sequence[Path], as_json: bool) -> None:  # noqa: FBT001  click passes flags so
    """Print the fields that fit all sample documents. FILES hold a JSON document, or one a line.

    Text with two or three decimals is taken for money, an instant with its zone for a time; read it through before
    use: what was null in every sample is `any`.

    \b
    Example:
      attribution-bridge schema infer samples/*.json > erp_order.yaml
    """
    found = inferred(document for path in files for document in _documents(path))
    if as_json:
        options.print_json(found)
    else:
        click.echo(as_yaml(found), nl=False)


def _documents(path: Path) -> Iterator[Json]:
    decode, raw = partial(decoded, msgspec.json.Decoder(float_hook=exact).decode), payload(path)
    if not raw.strip():
        raise click.UsageError(f"{path} is empty: it should hold a JSON document, or one a line")
    try:
        yield decode(raw)
    except msgspec.DecodeError as whole_file:
        for number, line in enumerate(raw.splitlines(), 1):
            try:
                yield from () if not line.strip() else (decode(line),)
            except msgspec.DecodeError as problem:
                wrong = problem if number > 1 else whole_file
                raise click.UsageError(f"{path}: not JSON, and not a document a line ({number}): {wrong}") from None
