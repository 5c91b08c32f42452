"""Every alert fires when it should and clears afterwards, by Prometheus's own evaluation of the rules."""

import os
import subprocess

import pytest
import yaml

from bridge import monitoring
from tests.chart import fetching
from tests.chart.conftest import only

GAUGE = "{well}+0x20 {ill}+0x60 {well}+0x240"
"""A value for each minute: well for 20 minutes, ill for an hour, then well again."""
ONCE = "0+0x59 1+0x260"
"""A counter that counts once, after an hour."""
STEADY = "0+0x20 1+1x60 60+0x240"
"""A counter that counts every minute for an hour."""


def _gauge(name, *, ill, well=0, **labels):
    return name, labels, GAUGE.format(ill=ill, well=well)


_PART = {"source": "erp", "topic": "orders", "partition": "0"}
CASES = {
    "DestinationPaused": [_gauge("bridge_destination_up", ill=0, well=1, dest="api")],
    "OrdersWait": [_gauge("bridge_oldest_due_seconds", ill=1000, dest="api")],
    "RuleHeld": [_gauge("bridge_rule_held", ill=1, dest="api", rule="placed")],
    "RulesRefused": [_gauge("bridge_rules_up_to_date", ill=0, well=1)],
    "DeadFacts": [_gauge("bridge_parked_facts", ill=1, dest="api", state="dead")],
    "UncertainFacts": [_gauge("bridge_parked_facts", ill=1, dest="api", state="uncertain")],
    "JournalTakesNothing": [("bridge_journal_full_total", {}, STEADY)],
    "JournalDiskFillsUp": [_gauge("bridge_journal_free_bytes", ill=1000, well=10**12)],
    "DeliveriesRefused": [
        ("bridge_door_refusals_total", {"source": "shop", "status": "401"}, "0+0x20 0+0.2x60 12+0x240"),
        ("bridge_deliveries_total", {"source": "shop", "secret_number": "1"}, "0+0x320"),
        ("bridge_duplicate_deliveries_total", {"source": "shop"}, "0+0x320"),
    ],
    "ConnectorBug": [("bridge_connector_failures_total", {}, ONCE)],
    "PartitionStopped": [_gauge("bridge_stream_partition_stopped", ill=1, **_PART)],
    "StreamDown": [_gauge("bridge_stream_up", ill=0, well=1, source="erp")],
    "StreamFallsBehind": [
        _gauge("bridge_stream_lag_records", ill=5, **_PART),
        ("bridge_stream_position", _PART, "7+0x320"),
    ],
    "RecordsWait": [("bridge_record_waits_total", {"source": "erp"}, STEADY)],
    "GroupShared": [_gauge("bridge_stream_shared_groups_total", ill=1, source="erp")],
    "Unreadable": [("bridge_dead_records_total", {"source": "erp", "topic": "orders"}, ONCE)],
    "SubscriptionsMissing": [("bridge_subscriptions_missing_total", {"source": "shop"}, ONCE)],
    "ErrandsFail": [("bridge_errand_failures_total", {}, STEADY)],
    "LogLinesLost": [("bridge_lost_log_lines_total", {}, ONCE)],
    "Gone": [("bridge_destination_up", {"dest": "api"}, "1+0x20 stale _x59 1+0x240")],
}
WELL, ILL, WELL_AGAIN = "15m", "70m", "310m"


@pytest.fixture(scope="session")
def promtool():
    """Runs promtool; skipped where it cannot be had, never in CI."""
    try:
        program = fetching.promtool()
    except fetching.NotToBeHad as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no promtool: {reason}; set PROMTOOL to one that is there")
    return lambda *words: subprocess.run([program, *words], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="session")
def rules(rendered, tmp_path_factory):
    """The file of the alerts of a SQLite release, for a Prometheus without Kubernetes."""
    objects = rendered("sqlite", "--set", "metrics.rules.enabled=true")
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(only(objects, "PrometheusRule")["spec"]))
    return path


def _series(name, labels, values):
    ours = {"namespace": "default", "job": "shop-attribution-bridge-private", "pod": "p", **labels}
    return {"series": f"{name}{{{','.join(f'{key}={text!r}' for key, text in ours.items())}}}", "values": values}


def _tried(rules, alert, series, fires):
    asked = f"count(ALERTS{{alertname='AttributionBridge{alert}', alertstate='firing'}}) or vector(0)"
    looks = [
        {"eval_time": at, "expr": asked, "exp_samples": [{"labels": "{}", "value": value}]}
        for at, value in zip((WELL, ILL, WELL_AGAIN), fires, strict=True)
    ]
    test = {"interval": "1m", "input_series": [_series(*each) for each in series], "promql_expr_test": looks}
    path = rules.with_name(f"{alert}.yaml")
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}))
    return path


def test_every_alert_has_a_case(rules):
    (group,) = yaml.safe_load(rules.read_text())["groups"]
    assert sorted(CASES) == sorted(rule["alert"].removeprefix("AttributionBridge") for rule in group["rules"])


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_and_clears(promtool, rules, alert):
    done = promtool("test", "rules", str(_tried(rules, alert, CASES[alert], (0, 1, 0))))
    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_shop_of_which_some_deliveries_are_refused_by_strangers_is_left_alone(promtool, rules):
    refused = ("bridge_door_refusals_total", {"source": "shop", "status": "401"}, "0+0x20 0+1x60 60+0x240")
    taken = ("bridge_deliveries_total", {"source": "shop", "secret_number": "1"}, "0+2x320")
    known = ("bridge_duplicate_deliveries_total", {"source": "shop"}, "0+0x320")
    done = promtool("test", "rules", str(_tried(rules, "DeliveriesRefused", [refused, taken, known], (0, 0, 0))))
    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_command_prints_the_same_alerts_for_those_without_kubernetes(rules, promtool, tmp_path):
    numbers = {"oldest_due_seconds": 900, "lag_records": 1000, "free_bytes": 1 << 30}
    printed = monitoring.alerts(job="shop-attribution-bridge-private", kind="sqlite", **numbers)
    path = tmp_path / "rules.yaml"
    path.write_text(printed)
    assert 0 == promtool("check", "rules", path).returncode
    ours, theirs = (yaml.safe_load(text)["groups"][0]["rules"] for text in (printed, rules.read_text()))
    for rule in theirs:
        rule["expr"] = rule["expr"].replace('namespace="default", ', "")
    assert ours == theirs
