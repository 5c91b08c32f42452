"""A rule that is switched off is named at every start."""


async def test_a_start_says_which_rule_is_switched_off_and_where(running, settings_for, sandbox, log):
    async with running(settings_for(sandbox, more="rules: {placed: false}\n")):
        pass
    (told,) = [line for line in log() if line["event"] == "rule.switched_off"]
    assert ("placed", "warning") == (told["rule"], told["level"])
    assert "bridge.yaml:" in told["detail"]
