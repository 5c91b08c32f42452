"""What the pages show, works."""

import re
from pathlib import Path

import pytest

from bridge.cli import command
from bridge.config import read
from bridge.mapping.functions import FUNCTIONS, SPECIAL

ROOT = Path(__file__).parents[1]
ENVIRON = {
    "SHOPIFY_SECRET": "s",
    "HELLOTEXT_TOKEN": "t",
    "DATABASE_URL": "postgres://db/bridge",
    "KAFKA_PASSWORD": "p",
    "REGISTRY_PASSWORD": "r",
}
PAGES_OF_DOCS = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", "docs/mapping.md", "docs/scaling.md", "docs/kafka.md"]
BLOCKS = [
    (page, block)
    for page in PAGES
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_every_configuration_that_a_page_shows_is_good(page, block):
    assert read(block, file=page, environ=ENVIRON).rules.facts("hellotext")


def test_every_function_stands_in_the_page_with_its_signature():
    page = (ROOT / "docs/mapping.md").read_text()
    signatures = {function.signature for function in FUNCTIONS.values()} | set(SPECIAL.values())
    assert [] == [signature for signature in sorted(signatures) if f"`{signature}`" not in page]


def test_the_readme_names_only_commands_that_there_are():
    table = (ROOT / "README.md").read_text().partition("## Ask, and act")[2].partition("##")[0]
    named = {word.split()[0] for word in re.findall(r"`([a-z]+[^`]*)`", table) if not word.startswith("/")}
    there = set(command.commands) | {
        part for group in command.commands.values() for part in getattr(group, "commands", {})
    }
    assert named <= there


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "connectors/README.md", *PAGES_OF_DOCS])
def test_links_of_a_page_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text())
    assert [] == [link for link in links if not ((ROOT / page).parent / link).exists()]
