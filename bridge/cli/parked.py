"""What `dead` and `uncertain` share: selecting parked facts, showing them, and acting on many."""

import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import click

from bridge.cli import options, reread
from bridge.cli.outcomes import print_ends
from bridge.contract import Envelope, Reason, State
from bridge.journal import Hold, Operator, Parked, Selection
from bridge.views.outcomes import PATIENCE, followed

F = TypeVar("F", bound=Callable[..., Any])

DROP = "drop"
RETRY = "retry"
RESEND = "send again"
_FILTERS = ("dest", "fact", "rule", "reason")
_SPOKEN = {"dest": "destination"}


def filters(command: F) -> F:
    """The options that select parked facts."""
    for name in reversed(_FILTERS):
        command = click.option(f"--{name}", default="", help=f"Only those of this {_SPOKEN.get(name, name)}.")(command)
    return options.journal(command)


def in_bulk(command: F) -> F:
    """Add the options of a bulk command: which facts, how many a second, and without a question."""
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    command = click.option("--rate", default=50.0, show_default=True, help="The most done in a second.")(command)
    command = click.option("--all", "everything", is_flag=True, help="All that the filters select.")(command)
    return filters(click.argument("refs", nargs=-1)(command))


def selection(state: State, refs: Sequence[str], asked: dict[str, Any]) -> Selection:
    """The selection that the arguments mean."""
    return Selection(state=state, refs=tuple(refs), **{name: asked[name] for name in _FILTERS})


async def found(state: State, refs: Sequence[str], asked: dict[str, Any]) -> tuple[list[Parked], Sequence[Hold]]:
    """Find all facts that are selected, and the rules that are held."""
    async with options.to_read(asked["config"], asked["path"]) as journal:
        return [fact async for fact in journal.parked(selection(state, refs, asked))], await journal.holds()


def list_them(state: State, asked: dict[str, Any]) -> None:
    """Print facts grouped by destination, fact and reason, or each on a line."""
    facts, holds = options.wait_for(found(state, (), asked))
    if asked["as_json"]:
        for fact in facts:
            options.print_json(asdict(fact))
    elif asked["each"]:
        options.table([_line(fact) for fact in facts])
    else:
        _grouped(facts)
    warn_of(holds)
    sys.exit(0)


def warn_of(holds: Sequence[Hold]) -> None:
    """Warn of rules whose orders wait until a person releases them."""
    for hold in holds:
        click.echo(
            f"rule {hold.rule} is held since {options.when(hold.since)} ({hold.detail}), its orders wait: "
            f"`dead release {hold.dest} {hold.rule}` lets them go on",
            err=True,
        )


def _line(fact: Parked) -> tuple[object, ...]:
    why = f"{fact.reason} {fact.detail}".strip()
    return fact.ref, options.when(fact.settled_at), fact.dest or "-", fact.fact or "-", f"order {fact.order}", why


def _grouped(facts: Sequence[Parked]) -> None:
    groups: Counter[tuple[str, ...]] = Counter()
    sample: dict[tuple[str, ...], str] = {}
    for fact in facts:
        group = (fact.dest or "-", fact.fact or "-", fact.reason, fact.detail)
        groups[group] += 1
        sample.setdefault(group, fact.ref)
    options.table([(count, *group, f"such as {sample[group]}") for group, count in groups.most_common()])
    click.echo(f"{len(facts)} in all")


def show_one(state: State, ref: str, asked: dict[str, Any]) -> None:
    """Show one fact with where it came from. With --body also the document itself, which is personal data."""
    fact, document = options.wait_for(_one(state, ref, asked))
    if fact is None:
        click.echo(f"no {state} fact is called {ref}; see `list --each`", err=True)
        sys.exit(1)
    if asked["body"]:
        sys.stdout.buffer.write(document.raw if document else b"")
        return
    if asked["as_json"]:
        options.print_json(asdict(fact))
        return
    for name, value in asdict(fact).items():
        click.echo(f"{name:<11}{options.when(value) if name == 'settled_at' else value}")
    click.echo(f"{'document':<11}{len(document.raw) if document else 0} bytes; print it with --body")


async def _one(state: State, ref: str, asked: dict[str, Any]) -> tuple[Parked | None, Envelope | None]:
    async with options.to_read(asked["config"], asked["path"]) as journal:
        facts = [fact async for fact in journal.parked(Selection(state=state, refs=(ref,)))]
        return (facts[0], await journal.document(facts[0].seq)) if facts else (None, None)


def act_on_many(
    state: State,
    refs: Sequence[str],
    asked: dict[str, Any],
    *,
    act: Callable[[Operator], Callable[[Sequence[str]], Awaitable[int]]],
    doing: str,
) -> None:
    """Ask first, then act in pages with a progress bar, and say what became of what was sent again.

    Exits 1 where nothing was selected, and where something is dead or uncertain again.
    """
    if not refs and not asked["everything"]:
        raise click.UsageError("name the facts (see `list --each`), or select with filters and --all")
    facts, holds = options.wait_for(found(state, refs, asked))
    if not facts:
        click.echo(f"no {state} fact is selected", err=True)
        sys.exit(1)
    if not asked["yes"]:
        click.confirm(f"{doing} {len(facts)} {state} facts?", abort=True, err=True)
    done, is_served = options.wait_for(_act(facts, asked, act, doing))
    click.echo(f"{doing}: {done} of {len(facts)}")
    if doing != DROP:
        going_on = {(fact.dest, fact.rule) for fact in facts}
        warn_of([hold for hold in holds if (hold.dest, hold.rule) in going_on])
    if done < len(facts):
        _print_why_not(facts, doing)
        sys.exit(1)
    if doing in (RETRY, RESEND) and _came_back(_apart(facts, doing)[1], asked, is_served=is_served):
        sys.exit(1)


def _came_back(facts: Sequence[Parked], asked: dict[str, Any], *, is_served: bool) -> bool:
    """Whether some are parked again, after what became of each was said."""

    async def ended() -> Counter[str]:
        async with options.to_read(asked["config"], asked["path"]) as journal:
            return await followed(facts, journal, patience=PATIENCE if is_served else 0)

    return print_ends(options.wait_for(ended()), is_served=is_served)


def _print_why_not(facts: Sequence[Parked], doing: str) -> None:
    requests = [fact for fact in facts if fact.reason == Reason.NOT_CARRIED_OUT_YET and doing == RETRY]
    for fact in requests:
        click.echo(f"{fact.ref} is a request of {fact.tenant} ({fact.topic}), which no rule maps: {_CURE}", err=True)
    unread, _ = _apart(facts, doing)
    if len(requests) + len(unread) < len(facts):
        others = "the others" if requests else "those that were left"
        click.echo(f"{others} are not there any more, or their document is not: see `show`", err=True)


_CURE = (
    "for the data of a person type `disclose REF`, and `disclose REF --done` when it was handed out; "
    "the bridge erases by itself while it runs"
)


async def _act(
    facts: Sequence[Parked],
    asked: dict[str, Any],
    act: Callable[[Operator], Callable[[Sequence[str]], Awaitable[int]]],
    doing: str,
) -> tuple[int, bool]:
    """Act on facts. Returns how many were acted on, and whether somebody serves the journal."""
    unread, others = _apart(facts, doing)
    done = await reread.reread(unread, asked) if unread else 0
    async with options.to_act(asked["config"], asked["path"]) as journal:
        done += await options.in_pages(others, act(journal), rate=asked["rate"], label=doing) if others else 0
        return done, options.store(asked["config"], asked["path"]).is_served(journal)


def _apart(facts: Sequence[Parked], doing: str) -> tuple[Sequence[Parked], Sequence[Parked]]:
    """Split facts into those that are to be read again, and all others."""
    unread: list[Parked] = []
    others: list[Parked] = []
    for fact in facts:
        (unread if doing == RETRY and fact.is_unread else others).append(fact)
    return unread, others


settled_as = partial(click.option, "--as", "as_state", type=click.Choice(["delivered", "dropped"]), required=True)
