"""Each alert has its section in the runbook, and the commands and log events that it names are there."""

import re
from pathlib import Path

import click
import pytest
import yaml

from bridge import monitoring
from bridge.cli import command
from bridge.log_events import EVENTS

PAGE = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
ALERTS = [rule["alert"] for rule in yaml.safe_load(monitoring.source(monitoring.ALERTS))]
SAID = sorted(set(re.findall(r"attribution-bridge ([a-z]+)(?: ([a-z]+)(?=[` ]))?((?: --[a-z]+)?)", PAGE)))


def test_every_alert_has_a_section_and_every_section_an_alert():
    assert sorted(ALERTS) == sorted(re.findall(r"^## (.*)$", PAGE, re.MULTILINE))


def test_the_commands_are_found():
    assert ("dead", "retry", " --all") in SAID
    assert ("status", "", "") in SAID


@pytest.mark.parametrize(("name", "part", "option"), SAID)
def test_a_command_that_is_named_is_there(name, part, option):
    found = command.get_command(click.Context(command), name)
    if part:
        found = getattr(found, "commands", {part: found} if name in ("send", "preview") else {}).get(part)
    assert found is not None
    assert not option or option.strip() in [word for each in found.params for word in each.opts]


NAMED = sorted(
    {name for line in re.findall(r".*[Ll]og events? .*", PAGE) for name in re.findall(r"`([a-z]+\.[a-z_]+)`", line)}
)


@pytest.mark.parametrize("event", NAMED)
def test_a_log_event_that_is_named_is_there(event):
    assert event in EVENTS
