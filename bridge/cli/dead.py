"""`dead`: facts that cannot be sent as they are."""

from typing import Any

import click

from bridge.cli import options, parked
from bridge.contract import State


@click.group()
def dead() -> None:
    """Facts that were refused or could not be mapped. Each waits for you, or for a later document of its order."""


@dead.command("list")
@parked.filters
@click.option("--each", is_flag=True, help="A line for each, instead of groups.")
@options.as_json
def list_dead(**asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Group dead facts by reason.

    \b
    Example:
      attribution-bridge dead list --reason refused
    """
    parked.list_them(State.DEAD, asked)


@dead.command()
@click.argument("ref")
@options.journal
@click.option("--body", is_flag=True, help="Print the document as it came. It is personal data.")
@options.as_json
def show(ref: str, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Show one dead fact: why, and the raw input it came from.

    \b
    Example:
      attribution-bridge dead show 17-9a3e11f0 --body
    """
    parked.show_one(State.DEAD, ref, asked)


@dead.command()
@parked.in_bulk
def retry(refs: tuple[str, ...], **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Map the newest stored document of each order again, by the rules in force. Read again what could not be read.

    \b
    Examples:
      attribution-bridge dead retry 17-9a3e11f0
      attribution-bridge dead retry --reason 'rule failed' --all --rate 20
    """
    parked.act_on_many(State.DEAD, refs, asked, act=lambda journal: journal.retry, doing=parked.RETRY)


@dead.command()
@parked.in_bulk
def drop(refs: tuple[str, ...], **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Decide that these facts are never sent. They stay in the history as dropped by hand.

    \b
    Example:
      attribution-bridge dead drop 17-9a3e11f0
    """
    parked.act_on_many(State.DEAD, refs, asked, act=lambda journal: journal.drop, doing=parked.DROP)


@dead.command()
@click.argument("dest", required=False)
@click.argument("rule", required=False)
@options.journal
def release(dest: str | None, rule: str | None, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Let the orders of a held rule go on; without arguments, list the rules that are held.

    A rule is held when the same refusal came twenty times running, or when its facts alone are not allowed while those
    of other rules are accepted. A rule that is changed goes on by itself when the configuration is read again.

    \b
    Example:
      attribution-bridge dead release hellotext placed
    """
    if dest is None:
        options.wait_for(_list_holds(asked))
    else:
        freed = options.wait_for(_release(dest, rule, asked))
        click.echo(f"{freed} orders go on")


async def _list_holds(asked: dict[str, Any]) -> None:
    async with options.to_read(asked["config"], asked["path"]) as journal:
        holds = await journal.holds()
    options.table([(hold.dest, hold.rule, options.when(hold.since), hold.detail) for hold in holds])
    if not holds:
        click.echo("no rule is held", err=True)


async def _release(dest: str, rule: str | None, asked: dict[str, Any]) -> int:
    async with options.to_act(asked["config"], asked["path"]) as journal:
        holds = await journal.holds()
        there = ", ".join(f"`dead release {hold.dest} {hold.rule}`" for hold in holds) or "no rule is held"
        if rule is None:
            raise click.UsageError(f"name the destination and the rule: {there if holds else _EXAMPLE}")
        if (dest, rule) not in [(hold.dest, hold.rule) for hold in holds]:
            raise click.UsageError(f"no rule {rule} of {dest} is held; there is: {there}" if holds else there)
        return await journal.release(dest, rule)


_EXAMPLE = "`dead release hellotext placed`"
