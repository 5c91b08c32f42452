"""What docs/hellotext.md and the README beside the connector say, is so."""

import re
import shlex
from pathlib import Path

import aiohttp
import pytest

from bridge.status_table import TABLE
from bridge.telemetry import REGISTRY
from connectors.hellotext import Hellotext
from connectors.hellotext.sandbox import serving

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "hellotext.md").read_text(encoding="utf-8")
README = (ROOT / "connectors" / "hellotext" / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"curl -[^`\n#]*?http://127\.0\.0\.1:8089/[a-z/]+", PAGE + README)))


def table():
    """The table of verdicts as the page has it."""
    lines = ["| What happens | Repeatable | Other | Why, in log and journal |", "| --- | --- | --- | --- |"]
    for row in TABLE:
        happening = row.happening + (" (assumed)" if row.assumed else "")
        lines.append(f"| {happening} | {row.repeatable} | {row.other} | {row.reason or ''} |")
    return "\n".join(lines)


def test_the_page_has_the_table_of_verdicts():
    assert table() in PAGE


def test_every_metric_that_it_names_is_there():
    there = {metric.name for metric in REGISTRY.collect()}
    assert [] == [name for name in re.findall(r"`(bridge_\w+)`", PAGE) if name.removesuffix("_total") not in there]


def test_every_setting_stands_in_the_readme_with_its_default():
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]
    shown = dict(re.findall(r"^    (\w+): +(\S+)", block, re.MULTILINE))
    assert {"connector", *Hellotext.model_fields} == shown.keys()
    assert [] == [
        name
        for name in ("profile_fields", "contract", "session_conflict")
        if Hellotext.model_fields[name].default != shown[name]
    ]


@pytest.mark.parametrize("command", COMMANDS)
async def test_the_sandbox_takes_every_command_that_is_shown(command):
    words = shlex.split(command)
    method, body = ("DELETE", None) if "-X" in words else ("POST", words[words.index("-d") + 1])
    async with serving() as url, aiohttp.ClientSession() as session:
        address = words[-1].replace("http://127.0.0.1:8089", url)
        async with session.request(method, address, data=body) as answer:
            assert 204 == answer.status


def test_there_are_commands():
    assert 7 <= len(COMMANDS)
