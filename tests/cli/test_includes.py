"""Rules from several files: overrides keep their places, tables are looked up, what is off is said."""

import pytest

from bridge import registry
from bridge.config import read
from bridge.errors import ConfigurationError
from bridge.mapping.loader import load
from bridge.mapping.tables import table
from tests.cli.conftest import CONFIG
from tests.cli.test_plan import ENVIRON, envelope

OWN = """
tables: {channels: channels.csv, tiers: tiers.yaml}
vars: {shop: Linen}
rules:
  cancelled: false
  placed:
    give:
      action: order.placed
      session: = session(named(order.note_attributes, "hello_session"))
      metadata:
        channel?: = lookup(vars.channels, order.source_name).group
        tier?: = lookup(vars.tiers, order.total_price)
        shop: = vars.shop
"""


@pytest.fixture
def composed(tmp_path):
    (tmp_path / "channels.csv").write_text("key,group,note\nweb,Online,\npos,Till,x\n")
    (tmp_path / "tiers.yaml").write_text("'99': gold\n")

    def settings(text=CONFIG + OWN):
        return read(text, file=str(tmp_path / "bridge.yaml"), environ=ENVIRON)

    return settings


def wrong(text, composed):
    with pytest.raises(ConfigurationError) as raised:
        composed(text)
    return str(raised.value)


def test_tables_from_csv_and_yaml_are_looked_up(composed):
    settings = composed()
    placed, *_ = settings.rules.apply(envelope(source_name="web"), "hellotext")
    assert {"channel": "Online", "tier": "gold", "shop": "Linen"} == placed.give["metadata"]


def test_a_changed_table_changes_the_digest_of_the_rules(composed, tmp_path):
    before = composed().rules.digest_of("placed")
    (tmp_path / "tiers.yaml").write_text("'99': silver\n")
    assert before != composed().rules.digest_of("placed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a\n1\n", "t.csv:1: has one column"),
        ("a,b\n1,2\n1,3\n", "t.csv:3: 1 is written twice; the first is in line 2: keep one"),
        ("a,b\n1\n", "t.csv:2: has 1 cells, and the first line 2"),
        ("a,b,b\n", "two columns have the same name"),
    ],
)
def test_a_table_that_is_wrong_says_where(text, said):
    with pytest.raises(ConfigurationError) as raised:
        table(text, "t.csv")
    assert said in str(raised.value)


def test_a_spreadsheets_semicolons_and_byte_order_mark_are_understood():
    assert {"1": "Hemd, blau", "2": "x"} == table("\ufeffNr;Name\n1;Hemd, blau\n2;x\n", "t.csv")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("tables: {a: no.csv}\n", "tables.a: cannot read"),
        ("tables: {a: channels.csv}\nvars: {a: 1}\n", "a is a variable too"),
        ("fields: {order: no.yaml}\n", "fields.order: cannot read"),
        ("fields: {oder.x: text}\n", "bridge.yaml:7:18: fields.oder.x: no source brings oder documents"),
        ("rules: {placed: {at: = order.creatd}}\n", "bridge.yaml:7:22: rules.placed.at"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(composed, more, said):
    assert said in wrong(CONFIG + more, composed)


def test_a_fault_in_an_included_part_of_an_overridden_rule_is_said_where_it_stands(composed, tmp_path):
    (tmp_path / "more.yaml").write_text(
        "rules:\n  a:\n    for: order\n    at: = order.creatd\n    give: {action: a.b}\n"
    )
    text = CONFIG.replace("[shopify/default]", "[more.yaml]") + "rules: {a: {max_age: 1d}}\n"
    assert "more.yaml:4:9: rules.a.at" in wrong(text, composed)


def test_a_destination_that_only_the_rules_of_a_connector_name_is_said_once_with_the_cure(composed):
    said = wrong(CONFIG.replace("  hellotext:", "  hello_de:").replace("mode: live", ""), composed)
    assert 1 == said.count("there is no such destination")
    assert "bridge.yaml:6:11: include.0: its rules go to hellotext" in said
    assert "call a destination hellotext, or say where its rules go: rules: {placed: {to: hello_de}, " in said
    cure = said.partition("where its rules go: ")[2].splitlines()[0]
    assert composed(CONFIG.replace("  hellotext:", "  hello_de:") + cure).rules.facts("hello_de")


def test_a_destination_that_an_own_rule_misspells_is_said_where_it_stands(composed):
    said = wrong(CONFIG + "rules: {placed: {to: hellotxt}}\n", composed)
    assert "bridge.yaml:7:22: rules.placed.to: there is no destination hellotxt: did you mean hellotext?" in said


def test_an_action_of_ones_own_is_named_with_the_setting_that_lists_it(composed):
    gift = "rules: {placed: {give: {action: order.gift, person: {email: a@example.com}}}}\n"
    said = wrong(CONFIG + gift, composed)
    assert "rules.placed.give.action: is no action that hellotext knows: " in said
    assert "??" not in said
    assert "write destinations.hellotext.actions: [order.gift]" in said
    listed = CONFIG.replace("token: env:HELLOTEXT_TOKEN", "token: env:HELLOTEXT_TOKEN, actions: [order.gift]")
    assert "order.gift" == composed(listed + gift).rules.facts("hellotext")["placed"]


def test_an_included_rule_that_is_opted_in_is_off_until_the_configuration_names_it(composed, configured, tmp_path):
    for said in ("true", "{since: 2026-11-01T00:00:00Z}"):
        assert "redeemed" in composed(CONFIG + f"rules: {{redeemed: {said}}}\n").rules.facts("hellotext")
    for said in ("", "rules: {redeemed: false}\n"):
        assert "redeemed" not in composed(CONFIG + said).rules.facts("hellotext")
    assert ("redeemed",) == composed(CONFIG).opt_in
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    assert "rule redeemed is off, and `rules: {redeemed: true}` switches it on" in configured("check").output


def test_what_is_switched_on_must_be_there(composed):
    text = CONFIG + "rules: {redemed: true}\n"
    assert (
        "rules.redemed: there is no included rule redemed that could be switched on: did you mean redeemed?"
        in wrong(text, composed)
    )
    assert "rules.own: a rule has no key opt_in" in wrong(
        CONFIG + "rules: {own: {opt_in: true, for: order, at: = order.created_at, give: {action: a.b}}}\n", composed
    ).replace(".opt_in:", ":")


def test_check_shows_the_resulting_rules_with_the_place_of_each_line(configured, tmp_path, composed):
    (tmp_path / "bridge.yaml").write_text(CONFIG + OWN)
    told = configured("check", "--show").output
    assert load(told, "shown").value["rules"]["cancelled"] is False
    bodies = {written.name: written.body for written in composed().written}
    assert bodies == {name: body for name, body in load(told, "shown").value["rules"].items() if body}
    lines = {line.split("#")[0].strip(): line.rpartition("# ")[2] for line in told.splitlines()}
    assert "bridge.yaml:11" == lines["cancelled: false"]
    assert "bridge.yaml:15" == lines['session: = session(named(order.note_attributes, "hello_session"))']
    first = next(line for line in told.splitlines() if line.strip().startswith("for: order"))
    default = registry.folder("shopify") / "rules/default.yaml"
    there = default.read_text().splitlines().index("    for: order") + 1
    assert first.endswith(f"shopify/rules/default.yaml:{there}")
    assert "rule cancelled is switched off by bridge.yaml:11" in configured("check").output
