"""Alert rules and a dashboard for Prometheus and Grafana, from one source for the command and for the chart."""

import json
from importlib.resources import files
from typing import Final, Literal

import yaml

from bridge.contract import Json

ALERTS: Final = "alerts.yaml"
DASHBOARD: Final = "dashboard.json"
_SELECTOR: Final = "SELECTOR"
_OF_SQLITE: Final = "AttributionBridgeJournalDiskFillsUp"


def source(name: str) -> str:
    """The text of a file beside this one: ALERTS or DASHBOARD."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def alerts(
    *, job: str, kind: Literal["sqlite", "postgres"], oldest_due_seconds: int, lag_records: int, free_bytes: int
) -> str:
    """The rules of all alerts about one bridge, as a file of Prometheus.

    job                 its job in the configuration of Prometheus
    kind                where its journal is
    oldest_due_seconds  seconds that an order may wait
    lag_records         records of one partition that may wait to be stored and do not become fewer
    free_bytes          bytes below which too few are free on the disk of a SQLite journal
    """
    text = source(ALERTS)
    numbers = {"OLDEST_DUE_SECONDS": oldest_due_seconds, "LAG_RECORDS": lag_records, "FREE_BYTES": free_bytes}
    for name, value in {_SELECTOR: f"job={json.dumps(job)}", **numbers}.items():
        text = text.replace(name, str(value))
    rules = [rule for rule in yaml.safe_load(text) if kind == "sqlite" or rule["alert"] != _OF_SQLITE]
    groups = {"groups": [{"name": "attribution-bridge", "rules": rules}]}
    return yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=1000)


def dashboard() -> Json:
    """The dashboard, as Grafana imports it: it asks for the source of the data, the namespace and the job itself."""
    found: Json = json.loads(source(DASHBOARD))
    return found
