"""`monitoring`: alert rules and a dashboard for those without Kubernetes."""

import json
from typing import Literal, cast

import click

from bridge import monitoring as source


@click.group()
def monitoring() -> None:
    """Print alert rules for Prometheus and a dashboard for Grafana. The chart has the same."""


@monitoring.command()
@click.option("--job", default="attribution-bridge", show_default=True, help="The bridge's job in Prometheus.")
@click.option(
    "--kind",
    type=click.Choice(["sqlite", "postgres"]),
    default="sqlite",
    show_default=True,
    help="Where the journal is.",
)
@click.option(
    "--oldest-due",
    type=click.IntRange(1),
    default=900,
    show_default=True,
    help="Seconds that an order may wait before an alert.",
)
@click.option(
    "--lag",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Records of one partition that may wait before an alert.",
)
@click.option(
    "--free",
    type=click.IntRange(1),
    default=1 << 30,
    show_default=True,
    help="Free bytes on the disk of a SQLite journal, below which there is an alert.",
)
def alerts(job: str, kind: str, oldest_due: int, lag: int, free: int) -> None:
    """Print the rules of all alerts about one bridge, as a file for `rule_files` of Prometheus.

    \b
    Example:
      attribution-bridge monitoring alerts --job bridge > /etc/prometheus/attribution-bridge.yaml
    """
    known = cast("Literal['sqlite', 'postgres']", kind)
    click.echo(
        source.alerts(job=job, kind=known, oldest_due_seconds=oldest_due, lag_records=lag, free_bytes=free), nl=False
    )


@monitoring.command()
def dashboard() -> None:
    """Print the dashboard, as Grafana imports it.

    \b
    Example:
      attribution-bridge monitoring dashboard > attribution-bridge.json
    """
    click.echo(json.dumps(source.dashboard(), indent=1))
