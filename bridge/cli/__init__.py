"""The command, with one module for each subcommand; results go to stdout, logs to stderr."""

from importlib import import_module
from typing import Final

import click

from bridge import registry

_MODULES: Final = {
    "run": "run",
    "check": "check",
    "schema": "schema",
    "test": "test",
    "preview": "preview",
    "plan": "plan",
    "demo": "demo",
    "sandbox": "sandbox",
    "bench": "bench",
    "send": "send",
    "status": "status",
    "orders": "orders",
    "tail": "tail",
    "dead": "dead",
    "uncertain": "uncertain",
    "erase": "persons",
    "disclose": "persons",
    "init": "init",
    "journal": "journal",
    "monitoring": "monitoring",
    "version": "version",
}
"""The module of each command. It is imported when the command is asked for: what the others need would take most of
the time in which a command starts."""


class _Commands(click.Group):
    """The commands, and for each connector that can do errands those of its platform, under its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's own signature
        return sorted([*_MODULES, *filter(registry.has_admin, registry.names())])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in _MODULES:
            found: click.Command = getattr(import_module(f"bridge.cli.{_MODULES[cmd_name]}"), cmd_name)
            return found
        if cmd_name in registry.names() and registry.has_admin(cmd_name):
            group: click.Group = import_module("bridge.cli.platform").platform_of(cmd_name)
            return group
        return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def command() -> None:
    """Receive orders, send attribution facts, and say what became of every order."""
