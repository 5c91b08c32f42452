"""`test`: whole-path tests of a configuration, a folder a case."""

import difflib
import random
import sys
from pathlib import Path

import click

from bridge.cli import options
from bridge.config import Settings
from bridge.dry_run import cases
from bridge.dry_run.deliveries import settings_of

_ROUNDS = 20  # rounds


@click.command()
@click.argument("folder", default="tests", type=click.Path(path_type=Path, exists=True, file_okay=False))
@options.config
@click.option("--update", is_flag=True, help="Show what changes, then write the expectations.")
@click.option("--shuffle", is_flag=True, help="Repeat and reorder the deliveries: the facts must stay the same.")
@click.option("--seed", default=1, show_default=True, help="For --shuffle: the same seed gives the same orders.")
def test(folder: Path, config: Path | None, *, update: bool, shuffle: bool, seed: int) -> None:
    """Run the cases in FOLDER (tests) and below: deliveries in, the exact requests out. Nothing is sent.

    A case is a folder with case.yaml and expected.json. No secret is needed. Exits 1 where a case is not as expected.

    \b
    Examples:
      attribution-bridge test tests --update
      attribution-bridge test tests --shuffle
    """
    settings = settings_of(options.chosen(config))
    found = [cases.read(path, settings) for path in cases.found(folder)]
    if not found:
        raise click.UsageError(f"there is no {cases.CASE} in {folder} or below")
    if shuffle:
        good = [_is_the_same(case, settings, seed) for case in found]
    else:
        good = [_is_as_expected(case, settings, update=update) for case in found]
    click.echo(f"{len(good)} cases, {good.count(False)} not as expected")
    sys.exit(0 if all(good) else 1)


def _is_as_expected(case: cases.Case, settings: Settings, *, update: bool) -> bool:
    outcome, expected = case.outcome(settings), case.expected()
    if outcome == expected:
        click.echo(f"{case.folder}: good")
        return True
    click.echo(
        f"{case.folder}: {'changed' if update else 'not as expected' if expected else 'nothing is expected yet'}"
    )
    before, after = expected.splitlines(), outcome.splitlines()
    for line in difflib.unified_diff(before, after, "expected", "found", lineterm=""):
        click.echo(f"  {line}")
    if update:
        case.update(outcome)
    elif not expected:
        click.echo("  write it with --update, then read it")
    return update


def _is_the_same(case: cases.Case, settings: Settings, seed: int) -> bool:
    """The facts are those of the order as written, however the deliveries come."""
    chance = random.Random(seed)  # noqa: S311  orders of deliveries, not secrets
    usual = case.facts(settings, case.deliveries)
    for _ in range(_ROUNDS):
        deliveries = case.shuffled(chance)
        facts = case.facts(settings, deliveries)
        if facts != usual:
            came = ", ".join(delivery.id for delivery in deliveries)
            click.echo(f"{case.folder}: the facts differ if the deliveries come as {came}")
            for sign, some in (("-", usual - facts), ("+", facts - usual)):
                for fact in sorted(some):
                    click.echo(f"  {sign} {' '.join(fact)}")
            return False
    click.echo(f"{case.folder}: the same {len(usual)} facts in {_ROUNDS} other orders")
    return True
