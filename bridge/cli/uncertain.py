"""`uncertain`: facts that may have arrived."""

from typing import Any

import click

from bridge.cli import options, parked
from bridge.contract import State


@click.group()
def uncertain() -> None:
    """Facts whose request left and was not answered. Look at the API, then send or settle them."""


@uncertain.command("list")
@parked.filters
@click.option("--each", is_flag=True, help="A line for each, instead of groups.")
@options.as_json
def list_uncertain(**asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Group uncertain facts by reason.

    \b
    Example:
      attribution-bridge uncertain list --each
    """
    parked.list_them(State.UNCERTAIN, asked)


@uncertain.command()
@click.argument("ref")
@options.journal
@click.option("--body", is_flag=True, help="Print the document as it came. It is personal data.")
@options.as_json
def show(ref: str, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Show one uncertain fact: what was sent, when, and the document it came from.

    \b
    Example:
      attribution-bridge uncertain show 17-9a3e11f0
    """
    parked.show_one(State.UNCERTAIN, ref, asked)


@uncertain.command()
@parked.in_bulk
def send(refs: tuple[str, ...], **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Send facts again that the API does not have. If it has one, it then has it twice.

    \b
    Example:
      attribution-bridge uncertain send 17-9a3e11f0
    """
    parked.act_on_many(State.UNCERTAIN, refs, asked, act=lambda journal: journal.resend, doing=parked.RESEND)


@uncertain.command()
@parked.settled_as(help="delivered: the API has them. dropped: they are not to be sent.")
@parked.in_bulk
def settle(refs: tuple[str, ...], as_state: str, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Say what became of uncertain facts.

    \b
    Example:
      attribution-bridge uncertain settle 17-9a3e11f0 --as delivered
    """
    state = State(as_state)
    parked.act_on_many(
        State.UNCERTAIN,
        refs,
        asked,
        act=lambda journal: lambda some: journal.settle(some, state),
        doing=f"settle as {as_state}",
    )
