"""A rule that is switched off is named at every start, and so is what no rule is for."""

from dataclasses import replace


async def test_a_start_says_which_rule_is_switched_off_and_where(running, settings_for, sandbox, log):
    async with running(settings_for(sandbox, more="rules: {placed: false}\n")):
        pass
    (told,) = [line for line in log() if line["event"] == "rule.switched_off"]
    assert ("placed", "warning") == (told["rule"], told["level"])
    assert "bridge.yaml:" in told["detail"]


async def test_a_start_names_a_destination_that_no_rule_feeds(running, settings_for, sandbox, log):
    settings = settings_for(sandbox)
    outlet = settings.destinations["hellotext"]
    async with running(replace(settings, destinations={"hellotext": outlet, "unfed": outlet})):
        pass
    (told,) = [line for line in log() if line["event"] == "rule.missing"]
    assert "warning" == told["level"]
    assert told["detail"].startswith("destination unfed: ")
