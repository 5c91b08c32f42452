"""The alerts and the dashboard for those without Kubernetes."""

import json

import yaml
from click.testing import CliRunner

from bridge.cli import command


def _printed(*words):
    done = CliRunner().invoke(command, ["monitoring", *words])
    assert 0 == done.exit_code, done.output
    return done.output


def _rules(*words):
    (group,) = yaml.safe_load(_printed("alerts", *words))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_alerts_are_about_the_job_that_is_asked_for_and_no_place_is_left_open():
    found = _rules("--job", "shop", "--oldest-due", "77", "--lag", "88", "--free", "99")
    assert all('job="shop"' in rule["expr"] for rule in found.values())
    assert found["AttributionBridgeOrdersWait"]["expr"].endswith("> 77")
    assert found["AttributionBridgeJournalDiskFillsUp"]["expr"].endswith("< 99")
    assert "> 88" in found["AttributionBridgeStreamFallsBehind"]["expr"]
    assert not any(word in str(found) for word in ("SELECTOR", "OLDEST_DUE_SECONDS", "LAG_RECORDS", "FREE_BYTES"))


def test_with_postgres_no_alert_looks_at_a_disk():
    assert {"AttributionBridgeJournalDiskFillsUp"} == _rules().keys() - _rules("--kind", "postgres").keys()


def test_the_dashboard_is_a_document_with_panels():
    assert json.loads(_printed("dashboard"))["panels"]
