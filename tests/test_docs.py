"""What the pages show, works."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from bridge.cli import command
from bridge.config import read
from bridge.contract import Envelope, Event, EventShape
from bridge.mapping.expressions import Names, compile_expression
from bridge.mapping.functions import FUNCTIONS, SPECIAL
from bridge.mapping.rules import Written, compile_rules
from bridge.mapping.type_check import NotAllowed

ROOT = Path(__file__).parents[1]
MAPPING = (ROOT / "docs/mapping.md").read_text()
ENVIRON = {
    "SHOPIFY_CLIENT_SECRET": "c",
    "SHOPIFY_SECRET": "s",
    "HELLOTEXT_TOKEN": "t",
    "DATABASE_URL": "postgres://db/bridge",
    "KAFKA_PASSWORD": "p",
    "REGISTRY_PASSWORD": "r",
    "WEBHOOK_SECRET": "whsec_AAECAwQFBgcICQoLDA0ODw==",
    "CLIENT_SECRET": "c",
    "WOOCOMMERCE_SECRET": "w",
    "WOOCOMMERCE_KEY": "k",
    "WOOCOMMERCE_KEY_SECRET": "k",
    "API_TOKEN": "t",
    "CONSOLE_READ_TOKEN": "for-those-who-look",
    "CONSOLE_ACT_TOKEN": "for-those-who-act",
}
FOLDERS = ("bridge", "connectors", "docs", "helm", "tests")
FILES = sorted(
    path
    for path in [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    if path.suffix in ("", ".liquid", ".md", ".py", ".sql", ".toml", ".tpl", ".txt", ".yaml") and path.is_file()
)
PAGES = [str(path.relative_to(ROOT)) for path in FILES if path.suffix == ".md"]
OF_OTHER_FILES = ("docs/kubernetes.md", "docs/testing.md")
"""Their blocks are values of the chart and cases: tests/chart and tests/cli try them."""
BLOCKS = [
    (page, block)
    for page in PAGES
    if page not in OF_OTHER_FILES
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
]
OTHERS = {
    "sources": "sources: {shop: {connector: shopify, shops: {a.myshopify.com: {secrets: [env:SHOPIFY_SECRET]}}}}\n",
    "destinations": "destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}}\n",
}
"""What a page of one end leaves out of its configuration."""


def test_the_pages_are_found():
    assert {"README.md", "docs/mapping.md", "connectors/kafka/README.md", "helm/attribution-bridge/README.md"} < {
        *PAGES
    }


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_every_configuration_that_a_page_shows_is_good(page, block):
    lacking = "".join(text for key, text in OTHERS.items() if not re.search(f"^{key}:", block, re.MULTILINE))
    rules = "include: [shopify/default]\n" if lacking else ""
    settings = read(f"{block}\n{lacking}{rules}", file=page, environ=ENVIRON)
    assert all(settings.rules.facts(name) for name in settings.destinations)


def test_every_function_stands_in_the_page_with_its_signature():
    page = (ROOT / "docs/mapping.md").read_text()
    signatures = {function.signature for function in FUNCTIONS.values()} | set(SPECIAL.values())
    assert [] == [signature for signature in sorted(signatures) if f"`{signature}`" not in page]


def test_the_readme_names_only_commands_that_there_are():
    table = (ROOT / "README.md").read_text().partition("## Ask, and act")[2].partition("##")[0]
    named = {word.split()[0] for word in re.findall(r"`([a-z]+[^`]*)`", table) if not word.startswith("/")}
    context = click.Context(command)
    groups = {name: command.get_command(context, name) for name in command.list_commands(context)}
    there = set(groups) | {part for group in groups.values() for part in getattr(group, "commands", {})}
    assert named <= there


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / page).read_text())
    assert [] == [link for link in links if not _leads_somewhere(link, ROOT / page)]


def _leads_somewhere(link, page):
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


CITED = [
    (str(path.relative_to(ROOT)), name, sections)
    for path in FILES
    if path.parent != ROOT / "docs/contracts" and path.name not in ("CHANGELOG.md", "test_prose.py")
    for name, sections in re.findall(
        r"((?:[\w.-]+/)*[\w.-]*\w\.md)\b((?:(?:,| and)? \d+(?:\.\d+)*(?![\w%]))*)", path.read_text(errors="replace")
    )
]


@pytest.mark.parametrize(("file", "name"), sorted({cited[:2] for cited in CITED}))
def test_every_page_that_is_named_is_there(file, name):
    """Beside the file, above it, or in docs/."""
    folders = [*(ROOT / file).parents, ROOT / "docs"]
    assert [folder for folder in folders if ROOT in (folder, *folder.parents) and (folder / name).exists()]


def test_every_section_that_is_cited_is_there():
    numbers = {page: _numbers((ROOT / page).read_text()) for page in PAGES if page.startswith("docs/contracts/")}
    cited = [(file, name, number) for file, name, text in CITED for number in re.findall(r"\d+(?:\.\d+)*", text)]
    assert len(cited) > 10
    assert [] == [each for each in cited if each[2] not in numbers.get(each[1], ())]


def _numbers(page):
    """Of sections, and of the points of a section's list: 3.5 is point 5 of section 3."""
    found, chapter = set(), ""
    for heading, point in re.findall(r"^(?:#+ (\d+(?:\.\d+)?)|(\d+)\.) ?", page, re.MULTILINE):
        chapter = heading or chapter
        found.add(heading or f"{chapter}.{point}")
    return found


MODULES = {f"/{path.relative_to(ROOT)}" for path in FILES if path.suffix in (".py", ".sql", ".tpl")}


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_module_that_a_page_names_is_there(page):
    """By its whole path, or by the end of it. N stands for a number."""
    named = {name for name in re.findall(r"`([\w./]+\.(?:py|sql|tpl))`", (ROOT / page).read_text()) if "_N" not in name}
    ends = {name: f"/{name.removeprefix('../')}" for name in named}
    assert [] == [name for name, end in ends.items() if not any(path.endswith(end) for path in MODULES)]


SCOPE = Names(shapes={"vars": {"channels": {"web": "text"}}}, sure=frozenset({"vars"}))
ROWS = re.findall(r"^\| `(\w+)\((.*?)\) -> (\w+)` \|.*\| `(.*)` is `(.*)` \|$", MAPPING, re.MULTILINE)


@pytest.mark.parametrize(("called", "expected"), [row[3:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_example_of_every_function_gives_what_the_page_says(called, expected):
    scope = {"vars": {"channels": {"web": "Website"}}}
    values = [compile_expression(f"= {source}", SCOPE).evaluate(scope) for source in (expected, called)]
    assert values[0] == values[1]
    assert isinstance(values[0], bool) is isinstance(values[1], bool)


def test_every_function_has_an_example():
    assert {*FUNCTIONS, *SPECIAL} == {row[0] for row in ROWS}


DATES = re.findall(r"^\| `(.*?)` \| `((?:local_)?time\(.*\))` \|$", MAPPING, re.MULTILINE)


@pytest.mark.parametrize(("written", "called"), DATES)
def test_every_date_that_the_page_shows_is_read_by_its_shape(written, called):
    assert f'"{written}"' in called
    assert compile_expression(f"= text({called})", SCOPE).evaluate({"vars": {}})[:8] == "2026-11-"
    assert len(DATES) == 4


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"])
def test_every_operator_of_the_grammar_is_there(sign):
    assert f'"{sign}"' in MAPPING
    compile_expression(f"= 4 {sign} 2", SCOPE)


@pytest.mark.parametrize("sign", ["//", "%", "**", "@", "|", "&", "^", "<<", "is"])
def test_no_operator_is_there_that_the_grammar_does_not_have(sign):
    assert f'"{sign}"' not in MAPPING
    with pytest.raises(NotAllowed):
        compile_expression(f"= 4 {sign} 2", SCOPE)


EMPTIES = {"empty": (None, "any"), "`false`": (False, "boolean"), "`0`": (0, "integer"), '`""`': ("", "text")}
Y = {"boolean": True, "integer": 7, "text": "y", "any": "y"}


def evaluated(source, shape, value):
    names = Names(shapes={"x": shape, "y": shape, "z": shape})
    return compile_expression(f"= {source}", names).evaluate({"x": value, "y": Y[shape], "z": Y[shape]})


@pytest.mark.parametrize(("at", "column"), list(enumerate(EMPTIES)))
def test_the_table_of_empties_says_what_is(at, column):
    table = MAPPING.partition("**One empty value")[2]
    rows = dict(re.findall(r"^\| (`.*?`(?:, `.*?`)*) \| (.*) \|$", table, re.MULTILINE))
    said = {row: cells.split(" | ")[at] for row, cells in rows.items() if len(cells.split(" | ")) == 4}
    value, shape = EMPTIES[column]
    spoken = {"x": value, "y": Y[shape], "empty": None, "true": True, "false": False, "0": 0, '""': ""}
    for source in ("x or y", "x and y", "default(x, y)", "not x", "has(x)"):
        assert spoken[said[f"`{source}`"]] == evaluated(source, shape, value), source
    for source in ("x == z", "x in [z]"):
        assert ("empty" == said["`x == z`, `x < z`, `x in z`"]) is (evaluated(source, shape, value) is None)
    if shape == "boolean":
        with pytest.raises(NotAllowed):
            evaluated("x + z", shape, value)
    else:
        assert (None if value is None else value + Y[shape]) == evaluated("x + z", shape, value)
    assert "not true" == said["`when: = x`"]
    for key, cell in (("note", said["`key: = x`"]), ("note?", said["`key?: = x`"])):
        assert cell == outcome(key, value, shape)


def outcome(key, value, shape):
    """What a rule gives under `key: = order.x`, in the page's words."""
    event = EventShape(fields={"action": "text", "note": "any"}, name="action")
    body = {"for": "order", "at": "= order.at", "give": {"action": "a", key: "= order.x"}}
    written = [Written(name="r", body=body, where=lambda _path: ("x", 1, 1))]
    kinds = {"order": {"at": "time", "x": shape}}
    rules = compile_rules(written, kinds=kinds, topics={}, destinations={"d": event})
    at = datetime(2026, 11, 20, tzinfo=UTC)
    raw = json.dumps({"at": at.isoformat(), "x": value}).encode()
    told = Envelope(source="s", id="1", topic="t", kind="order", tenant="t", lane="1", received_at=at, raw=raw)
    (step,) = rules.apply(told, "d")
    if not isinstance(step, Event):
        return "the rule fails"
    return json.dumps(step.give["note"]) if "note" in step.give else "left out"
