"""`preview` and `test`, as a person types them: no secret at hand, nothing sent."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge import registry
from bridge.cli import command
from bridge.errors import ConfigurationError

CONFIG = """
sources:
  shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:SHOPIFY_SECRET]}}}
destinations:
  hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}
include: [shopify/default]
"""
AT = "2026-11-21T12:00:00Z"
CASE = """
received_at: 2026-11-21T12:00:00Z
deliveries:
  - {topic: orders/create, body: order.json, with: {financial_status: pending}}
  - {topic: orders/updated, body: order.json, with: {updated_at: "2026-11-20T15:00:00+01:00"}}
"""


@pytest.fixture
def typed(monkeypatch, tmp_path):
    monkeypatch.delenv("SHOPIFY_SECRET", raising=False)
    monkeypatch.delenv("HELLOTEXT_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    shutil.copy(registry.folder("shopify") / "examples" / "order.json", tmp_path / "order.json")

    def invoke(*words, **options):
        return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False, **options)

    return invoke


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "tests" / "paid-later"
    folder.mkdir(parents=True)
    (folder / "case.yaml").write_text(CASE)
    shutil.copy(registry.folder("shopify") / "examples" / "order.json", folder / "order.json")
    return folder


# -- preview -----------------------------------------------------------------------------------------------------------


def test_preview_tells_every_rule_and_the_exact_request_without_a_secret(typed):
    told = typed("preview", "order.json", "--at", AT)
    assert 0 == told.exit_code, told.output
    shown = "    items less lines: 0.00\n    amount less items: 22.50\n"
    assert (
        f"  placed order.placed: would be sent\n{shown}    POST https://api.hellotext.com/v1/profiles\n" in told.output
    )
    assert '"amount": 99.00,' in told.output
    assert "  cancelled: not true (has(order.cancelled_at) is not true)" in told.output
    assert "HELLOTEXT_TOKEN" not in told.output


def wrapped(folder, **orders):
    """Writes each order of an answer of the REST API, by the number of the order."""
    order = json.loads((folder / "order.json").read_text())
    found = [{**order, "id": int(number.strip("_")), **changes} for number, changes in orders.items()]
    (folder / "answer.json").write_text(json.dumps({"orders": found} if len(found) != 1 else {"order": found[0]}))


def test_preview_opens_an_answer_of_the_api_and_says_which_order_it_is_about(typed, tmp_path):
    wrapped(tmp_path, _1={}, _2={"email": None, "customer": None, "phone": None})
    told = typed("preview", "answer.json", "--at", AT)
    assert 0 == told.exit_code, told.output
    assert ["answer.json: orders[0]", "answer.json: orders[1]"] == [
        line for line in told.output.splitlines() if line.startswith("answer")
    ]
    documents = typed("preview", "answer.json", "--at", AT, "--json").stdout
    assert '"document": "orders[0]"' in documents
    assert '"document": "orders[1]"' in documents
    wrapped(tmp_path, _1={})
    assert (
        "answer.json: order\n  placed order.placed: would be sent" in typed("preview", "answer.json", "--at", AT).output
    )


def test_preview_says_that_an_answer_holds_nothing(typed, tmp_path):
    wrapped(tmp_path)
    told = typed("preview", "answer.json")
    assert (2, True) == (told.exit_code, "answer.json holds no document: its list is empty" in told.output)


def test_preview_knows_a_document_by_its_shape_where_no_topic_is_said(typed):
    for name in ("refund", "draft_order", "fulfillment"):
        path = registry.folder("shopify") / "examples" / f"{name}.json"
        assert f"no rule is for documents of kind {name}" in typed("preview", path).output


def test_preview_of_what_is_known_by_nothing_says_to_name_the_topic(typed, tmp_path):
    (tmp_path / "odd.json").write_text("{}")
    told = typed("preview", "odd.json")
    assert 1 == told.exit_code
    assert "without --topic it is taken for one of orders/create: say with --topic which topic brings it" in told.output


def test_a_case_may_name_an_answer_of_the_api(typed, case):
    order = json.loads((case / "order.json").read_text())
    (case / "two.json").write_text(json.dumps({"orders": [order, {**order, "id": 7}]}))
    (case / "case.yaml").write_text(
        "received_at: 2026-11-21T12:00:00Z\ndeliveries: [{body: two.json, with: {note: x}}]\n"
    )
    assert 0 == typed("test", "tests", "--update").exit_code
    expected = json.loads((case / "expected.json").read_text())
    assert ["shop orders/create 1-1", "shop orders/create 1-2"] == [each["delivery"] for each in expected]
    assert ["sent", "sent"] == [each["verdicts"][0]["verdict"] for each in expected]


def test_preview_says_which_optional_parts_were_left_out_and_why(typed, tmp_path):
    order = json.loads((tmp_path / "order.json").read_text())
    (tmp_path / "order.json").write_text(json.dumps(order | {"email": ["ada@example.com"]}))
    told = typed("preview", "order.json", "--at", AT)
    assert 0 == told.exit_code, told.output
    assert "    left out: give.person?.email?: = email(order.email)" in told.output
    assert "order.email is a list, not text\n" in told.output
    assert "ada@example.com" not in told.output


def test_preview_names_the_part_of_a_condition_that_is_not_true(typed, tmp_path):
    rule = "rules: {cancelled: {when: '= order.id > 0 and order.note == \"x\" and order.id > 1'}}\n"
    (tmp_path / "bridge.yaml").write_text(CONFIG + rule)
    note = json.loads((tmp_path / "order.json").read_text()) | {"note": None}
    (tmp_path / "order.json").write_text(json.dumps(note))
    assert 'not true (order.note == "x" is empty: order.note is null)' in typed("preview", "order.json").output


def test_preview_says_too_old(typed):
    assert "placed: too old" in typed("preview", "order.json", "--at", "2027-11-21T12:00:00Z").output


def test_preview_names_the_empty_field_and_exits_1(typed, tmp_path):
    document = json.loads((tmp_path / "order.json").read_text()) | {"currency": None}
    (tmp_path / "order.json").write_text(json.dumps(document))
    told = typed("preview", "order.json", "--at", AT)
    assert 1 == told.exit_code
    assert "rule failed" in told.output
    assert "order.currency is null" in told.output


def test_preview_needs_no_address_of_the_journal(typed, tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG + "journal: {kind: postgres, url: env:JOURNAL_ADDRESS}\n")
    assert 0 == typed("preview", "order.json", "--at", AT).exit_code


def test_preview_reads_standard_input(typed, tmp_path):
    words = [sys.executable, "-m", "bridge", "preview", "-", "--at", AT]
    told = subprocess.run(words, input=(tmp_path / "order.json").read_bytes(), capture_output=True, check=True)
    assert b"placed order.placed: would be sent" in told.stdout


def test_preview_of_a_folder_looks_at_each_file_and_says_what_the_door_would_refuse(typed, tmp_path):
    (tmp_path / "payloads").mkdir()
    shutil.copy("order.json", "payloads/a.json")
    (tmp_path / "payloads" / "b.json").write_text("[]")
    told = typed("preview", "payloads", "--at", AT)
    assert 1 == told.exit_code
    assert "payloads/a.json\n  placed order.placed: would be sent" in told.output
    assert "payloads/b.json\n  refused at the door" in told.output


def test_preview_as_json_keeps_the_digits_of_money(typed):
    told = typed("preview", "order.json", "--at", AT, "--json")
    assert '"amount": 99.00' in told.output
    assert ["sent", "sent", "not true", "not true", "not true", "nothing to send"] == [
        each["verdict"] for each in json.loads(told.output)["verdicts"]
    ]


# -- test --------------------------------------------------------------------------------------------------------------


def test_a_new_case_is_written_by_update_and_good_afterwards(typed, case):
    first = typed("test")
    assert 1 == first.exit_code
    assert "nothing is expected yet" in first.output
    assert not (case / "expected.json").exists()
    assert 0 == typed("test", "--update").exit_code
    again = typed("test")
    assert (0, "tests/paid-later: good\n1 cases, 0 not as expected\n") == (again.exit_code, again.output)
    verdicts = [[each["verdict"] for each in delivery["verdicts"]] for delivery in expected(case)]
    never = [*["not true"] * 3, "nothing to send"]
    assert [["sent", "not true", *never], ["already", "sent", *never]] == verdicts


def expected(case):
    return json.loads((case / "expected.json").read_text())


def test_another_amount_is_shown_as_a_difference(typed, case):
    typed("test", "--update")
    path = case / "expected.json"
    path.write_text(path.read_text().replace('"amount": 99.00', '"amount": 99.0'))
    told = typed("test")
    assert 1 == told.exit_code
    changed = [line.split() for line in told.output.splitlines()]
    assert ["-", '"amount":', "99.0,"] in changed
    assert ["+", '"amount":', "99.00,"] in changed


def test_shuffled_deliveries_send_the_same_facts(typed, case):
    told = typed("test", "--shuffle")
    assert 0 == told.exit_code, told.output
    assert "the same 2 facts in 20 other orders" in told.output


def test_shuffle_finds_a_rule_that_hangs_on_the_order_of_deliveries(typed, case, tmp_path):
    passing = "rules: {placed: {when: '= order.financial_status == \"pending\"'}}\n"
    (tmp_path / "bridge.yaml").write_text(CONFIG + passing)
    told = typed("test", "--shuffle")
    assert 1 == told.exit_code
    assert "- hellotext example.myshopify.com 6042000000001 order.placed []" in told.output


def test_answers_of_the_api_are_part_of_a_case(typed, case):
    refusal = "answers: [{path: /attribution/events, status: 500, body: {error: no}}]\n"
    (case / "case.yaml").write_text(refusal + CASE)
    typed("test", "--update")
    assert "would wait" == expected(case)[0]["verdicts"][0]["verdict"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (CASE.replace("received_at: 2026-11-21T12:00:00Z", ""), "received_at: say when it came, with a zone"),
        (CASE.replace("body: order.json, with: {f", "with: {f"), "name the file of a webhook's body: or of"),
        (CASE.replace("order.json", "ordr.json"), "No such file"),
        (CASE.replace("topic:", "topci:"), "case.yaml:4:13: deliveries.0.topci: unknown key; did you mean `topic`?"),
        ("received_at: 2026-11-21T12:00:00Z\n", "case.yaml:1:1: deliveries: this key is missing"),
        (CASE.partition("deliveries:")[0] + "deliveries: []\n", "deliveries: is empty: at least 1 is needed here"),
    ],
)
def test_a_wrong_case_is_told_with_its_place_and_cure(typed, case, wrong, said):
    (case / "case.yaml").write_text(wrong)
    with pytest.raises(ConfigurationError) as problem:
        typed("test")
    assert said in str(problem.value)


def test_the_case_that_the_page_shows_works(typed, case):
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    (case / "case.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    assert 0 == typed("test", "--update").exit_code
    verdicts = [each["verdict"] for delivery in expected(case) for each in delivery["verdicts"]]
    never = [*["not true"] * 3, "nothing to send"]
    assert ["would wait", "not true", *never, "would wait", "would wait", *never] == verdicts
