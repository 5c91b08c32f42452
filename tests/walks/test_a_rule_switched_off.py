"""A rule that is switched off is named at every start."""

import io
import json

import pytest

from bridge import telemetry


@pytest.fixture
def log():
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    telemetry.set_up(level="info", style="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.buffer.getvalue().decode().splitlines()]
    telemetry.set_up(level="warning")


async def test_a_start_says_which_rule_is_switched_off_and_where(running, settings_for, sandbox, log):
    async with running(settings_for(sandbox, more="rules: {placed: false}\n")):
        pass
    (told,) = [line for line in log() if line["event"] == "rule.switched_off"]
    assert ("placed", "warning") == (told["rule"], told["level"])
    assert "bridge.yaml:" in told["detail"]
