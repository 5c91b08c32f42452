"""`init`: a configuration to begin with, its secrets, and a first test."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Final

import click
import yaml

from bridge import registry
from bridge.cli import options
from bridge.dry_run import cases
from bridge.dry_run.deliveries import settings_of
from bridge.errors import BridgeError

_START: Final = "start"
"""The folder of a connector with what a user begins with: bridge.yaml, bridge.env and case.yaml."""
_CONFIG: Final = "bridge.yaml"
_SECRETS: Final = "bridge.env"
_CASE: Final = Path("tests") / "first-order"
_SHOP: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


def _host(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """The host of a shop, as it stands in the configuration. Raises click.BadParameter."""
    if not _SHOP.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no host: write it as name.myshopify.com or shop.example.com")
    return value.lower()


def platforms() -> list[str]:
    """The connectors that say how to begin with them."""
    return sorted(name for name in registry.names() if (registry.folder(name) / _START / _CONFIG).is_file())


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--platform",
    prompt="Where do the orders come from",
    type=click.Choice(platforms()),
    help="The connector that the orders come by.",
)
@click.option(
    "--shop", prompt="The shop's host, such as name.myshopify.com", callback=_host, help="The host of the shop."
)
@click.option(
    "--mode",
    prompt="Send at once (live), or watch first (shadow)",
    default="shadow",
    type=click.Choice(["shadow", "live"]),
    help="Whether events are sent.",
)
def init(folder: Path, platform: str, shop: str, mode: str) -> None:
    """Write a configuration to begin with into FOLDER: bridge.yaml, bridge.env and a first test. Asks for what is not
    said.

    Nothing that is there is overwritten.

    \b
    Examples:
      attribution-bridge init
      attribution-bridge init my-shop --platform shopify --shop name.myshopify.com --mode shadow
    """
    start = registry.folder(platform) / _START
    template = Template((start / _CONFIG).read_text(encoding="utf-8"))
    new = {
        folder / _CONFIG: template.substitute(shop=shop, mode=mode).encode(),
        folder / _SECRETS: (start / _SECRETS).read_bytes(),
        folder / _CASE / cases.CASE: (start / "case.yaml").read_bytes(),
        **{folder / _CASE / name: _example(platform, name) for name in _bodies(start / "case.yaml")},
    }
    _write(new)
    settings = settings_of(folder / _CONFIG)
    case = cases.read(folder / _CASE, settings)
    case.update(case.outcome(settings))
    _tell(folder, [*new, folder / _CASE / cases.EXPECTED])


def _bodies(case: Path) -> Iterator[str]:
    """The files that a case names."""
    for delivery in yaml.safe_load(case.read_text(encoding="utf-8"))["deliveries"]:
        yield delivery.get("body") or delivery["value"]


def _example(platform: str, name: str) -> bytes:
    return (registry.folder(platform) / "examples" / name).read_bytes()


def _write(new: dict[Path, bytes]) -> None:
    """Write all files, or none. Raises BridgeError if one of them is there."""
    if there := [str(path) for path in new if path.exists()]:
        raise BridgeError(f"{', '.join(there)} is there already: name another folder, or move it away")
    for path, content in new.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if path.name == _SECRETS else 0o666
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)


def _tell(folder: Path, new: list[Path]) -> None:
    for path in new:
        click.echo(f"wrote {path}")
    program, where = options.typed_as(), ""
    if folder != Path():
        where = f"cd {shlex.quote(str(folder))} && "
        program = shlex.quote(str(Path(program).absolute())) if "/" in program else program
    click.echo(f"\nFill in {folder / _SECRETS}. Then:\n  {where}set -a && . ./{_SECRETS} && set +a && {program} check")
    click.echo(f"  {program} test")
    click.echo(f"  {program} run")
