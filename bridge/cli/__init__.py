"""The command, with one module for each subcommand; results go to stdout, logs to stderr."""

import click

from bridge import registry
from bridge.cli.bench import bench
from bridge.cli.check import check
from bridge.cli.dead import dead
from bridge.cli.demo import demo
from bridge.cli.journal import journal
from bridge.cli.orders import orders
from bridge.cli.persons import disclose, erase
from bridge.cli.plan import plan
from bridge.cli.platform import platform_of
from bridge.cli.preview import preview
from bridge.cli.run import run
from bridge.cli.sandbox import sandbox
from bridge.cli.schema import schema
from bridge.cli.send import send
from bridge.cli.status import status
from bridge.cli.test import test
from bridge.cli.uncertain import uncertain
from bridge.cli.version import version


class _Commands(click.Group):
    """The commands, and for each connector that can do errands those of its platform, under its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *filter(registry.has_admin, registry.names())])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in registry.names() and registry.has_admin(cmd_name):
            return platform_of(cmd_name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def command() -> None:
    """Receive orders, send attribution facts, and say what became of every order."""


for part in (
    run,
    check,
    schema,
    test,
    preview,
    plan,
    demo,
    sandbox,
    bench,
    send,
    status,
    orders,
    dead,
    uncertain,
    erase,
    disclose,
    journal,
    version,
):
    command.add_command(part)
