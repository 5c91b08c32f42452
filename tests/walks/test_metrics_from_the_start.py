"""What Prometheus sees before anything has happened, and of a rule that was held before the start."""

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from bridge.journal import Hold


async def _samples(bridge):
    async with bridge.session.get(f"{bridge.private}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        return [each for family in families for each in family.samples]


async def _values(bridge, name, **labels):
    found = [each for each in await _samples(bridge) if each.name == name]
    return [each.value for each in found if labels.items() <= each.labels.items()]


async def test_a_rule_that_the_journal_holds_is_seen_and_one_that_is_released_is_seen_too(
    running, settings_for, sandbox
):
    async with running(settings_for(sandbox)) as bridge:
        assert [0] == await _values(bridge, "bridge_rule_held", dest="hellotext", rule="placed")
        hold = Hold(dest="hellotext", rule="placed", digest="d", since=datetime.now(UTC), detail="422")
        await bridge.house.journal.hold(hold)
        assert [1] == await _values(bridge, "bridge_rule_held", dest="hellotext", rule="placed")
        assert [0] == await _values(bridge, "bridge_rule_held", dest="hellotext", rule="confirmed")
        await bridge.house.journal.hold(Hold(dest="hellotext", rule="gone", digest="d", since=hold.since, detail=""))
        assert [1] == await _values(bridge, "bridge_rule_held", dest="hellotext", rule="gone")
        for rule in ("placed", "gone"):
            await bridge.house.journal.release("hellotext", rule)
        assert [0] == await _values(bridge, "bridge_rule_held", dest="hellotext", rule="placed")
        assert [] == await _values(bridge, "bridge_rule_held", rule="gone")


async def test_counters_of_what_is_configured_are_there_before_they_count(running, settings_for, sandbox):
    known = {
        "bridge_deliveries_total": {"source": "shop", "secret_number": "1"},
        "bridge_door_refusals_total": {"source": "shop", "status": "401"},
        "bridge_dead_deliveries_total": {"source": "shop"},
        "bridge_subscriptions_missing_total": {"source": "shop"},
        "bridge_facts_total": {"dest": "hellotext", "fact": "order.placed", "state": "delivered", "reason": ""},
        "bridge_rule_holds_total": {"dest": "hellotext", "rule": "placed"},
        "bridge_destination_pauses_total": {"dest": "hellotext", "reason": "paused"},
        "bridge_postponements_total": {"dest": "hellotext", "reason": "timed out"},
    }
    async with running(settings_for(sandbox)) as bridge:
        samples = {(each.name, frozenset(each.labels.items())) for each in await _samples(bridge)}
        assert [] == [name for name, labels in known.items() if (name, frozenset(labels.items())) not in samples]
