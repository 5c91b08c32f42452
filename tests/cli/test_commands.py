"""The command as a person types it, beside a running bridge and on a stopped one."""

import json
import re
import shlex
from importlib.metadata import version

import click
import pytest

from bridge.__main__ import main
from bridge.cli import command
from bridge.delivery.outage import outage_of
from bridge.errors import BridgeError
from tests.cli.conftest import CONFIG


def _walked(words, part):
    """Every command and group below, each with the words that name it."""
    yield words, part
    if isinstance(part, click.Group):
        context = click.Context(part)
        for name in part.list_commands(context):
            yield from _walked((*words, name), part.get_command(context, name))


COMMANDS = dict(_walked((), command))
LEAVES = [words for words, part in COMMANDS.items() if not isinstance(part, click.Group) or part.invoke_without_command]


def test_all_commands_are_found():
    assert {("run",), ("journal", "doubt"), ("shopify", "doctor"), ("schema", "infer")} <= set(LEAVES)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_group_explains_itself(typed, words):
    told = typed(*words, "--help")
    assert (0, True) == (told.exit_code, told.output.startswith("Usage: "))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_default_is_called_a_default(typed, words):
    assert "unsaid" not in typed(*words, "--help").output.lower()


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_shows_examples_each_on_a_line_that_can_be_typed(typed, words):
    shown = re.search(r"^  Examples?:\n((?:    .*\n)+)\n", typed(*words, "--help").output, re.MULTILINE)
    assert shown, "there is no example"
    for line in shown[1].splitlines():
        typed_words = shlex.split(line.split(" > ")[0])
        start = typed_words.index("attribution-bridge") + 1
        assert list(words) == typed_words[start : start + len(words)]
        part = COMMANDS[words]
        parser = part.make_parser(click.Context(part))
        _, left, _ = parser.parse_args(typed_words[start + len(words) :])
        assert [] == left


def test_version_says_the_installed_version(typed):
    assert version("attribution-bridge") == json.loads(typed("version", "--json").output)["attribution-bridge"]


def test_check_says_that_a_good_configuration_is_good_and_what_it_does(typed, tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    told = typed("check")
    assert 0 == told.exit_code
    assert "bridge.yaml is good" in told.output
    assert "rule placed -> order.placed" in told.output


def test_check_names_a_rule_that_is_switched_off(typed, tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG + "rules: {placed: false}\n")
    assert "rule placed is switched off by bridge.yaml:7" in typed("check").output


def test_check_says_every_problem_at_once_with_its_place_and_exits_2(tmp_path, monkeypatch, capsys):
    wrong = CONFIG.replace("secrets", "secret").replace("shopify/default", "shopify/defualt") + "dor: {}\n"
    (tmp_path / "bridge.yaml").write_text(wrong + "door: {prt: 1}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HELLOTEXT_TOKEN", raising=False)
    monkeypatch.setattr("sys.argv", ["attribution-bridge", "check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert 2 == ended.value.code
    said = capsys.readouterr().err
    for problem in (
        "bridge.yaml:3:70: sources.shop.shops.example.myshopify.com.secret: unknown key; did you mean `secrets`?",
        "environment variable HELLOTEXT_TOKEN is not set",
        "cannot include shopify/defualt: connector shopify has no such rules; there are: shopify/default",
        "dor: unknown key; did you mean `door`?",
        "door.prt: unknown key; did you mean `port`?",
    ):
        assert problem in said, said


def test_a_configuration_that_is_not_there_exits_2_and_says_how_to_name_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["attribution-bridge", "run"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert 2 == ended.value.code
    assert "--config or BRIDGE_CONFIG" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["run"], ["check"], ["plan", "--config", "bridge.yaml"], ["dead", "list"]])
def test_only_run_says_that_nothing_was_started(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.yaml").write_text("journal: {path: 5}\n")
    monkeypatch.setattr("sys.argv", ["attribution-bridge", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert 2 == ended.value.code
    said = capsys.readouterr().err
    assert "journal.path: a text is expected here" in said
    assert (words == ["run"]) == ("nothing was started" in said)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SHOPIFY_SHOP", "acme", "SHOPIFY_SHOP: write the shop as acme.myshopify.com"),
        ("HELLOTEXT_MODE", "test", "HELLOTEXT_MODE: mode is live or shadow"),
    ],
)
def test_a_variable_of_the_demo_that_is_wrong_is_named(tmp_path, monkeypatch, capsys, name, value, said):
    given = {"SHOPIFY_SHOP": "acme.myshopify.com", "SHOPIFY_SECRET": "s", "HELLOTEXT_TOKEN": "t", name: value}
    monkeypatch.chdir(tmp_path)
    for variable, text in given.items():
        monkeypatch.setenv(variable, text)
    monkeypatch.setattr("sys.argv", ["attribution-bridge", "demo"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert 2 == ended.value.code
    assert capsys.readouterr().err.startswith(said)


def test_a_journal_that_is_not_there_exits_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["attribution-bridge", "journal", "stats"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert 1 == ended.value.code
    assert "there is no journal at var/journal.db" in capsys.readouterr().err


async def test_orders_show_tells_what_was_left_out_of_an_event_and_why(running, typed_beside, order, tmp_path):
    number, body = order(name="#77", phone=["+442079460018"], email="ada@example.com")
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
    told = await typed_beside("orders", "show", number, "--journal", tmp_path / "journal.db")
    assert "left out: give.person?.phone?: " in told.output
    assert "order.phone is a list, not text" in told.output
    assert "+442079460018" not in told.output


async def test_orders_show_tells_an_order_by_any_of_its_names(running, typed_beside, order, tmp_path):
    number, body = order(name="#77", email="ada@example.com")
    where = ("--journal", tmp_path / "journal.db")
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        for name in (number, "#77", "77", "ADA@example.com"):
            told = await typed_beside("orders", "show", name, *where)
            assert 0 == told.exit_code
            assert f"order {number} of example.myshopify.com" in told.output
            assert "order.placed" in told.output
            assert "delivered" in told.output
        story = (await bridge.story(number)).documents[0]["id"]
        assert f"order {number} of" in (await typed_beside("orders", "show", story, *where)).output
    told = await typed_beside("orders", "show", number, "--json", *where)
    assert ["order.placed", "order.confirmed"] == [fact["fact"] for fact in json.loads(told.output)[0]["facts"]]
    told = await typed_beside("orders", "show", "#78", *where)
    said = f"nothing is known of #78: no order or delivery goes by it in the journal {where[1]}, which has 1 order\n"
    assert (1, said) == (told.exit_code, told.output)
    for text, is_advised in (("020 7946 0000", True), ("02079460000", True), ("#78", False), ("604200000000", False)):
        told = await typed_beside("orders", "show", text, *where)
        assert (1, is_advised) == (told.exit_code, "with the code of its country" in told.output)


async def test_orders_show_says_why_an_order_waits_that_was_never_tried(
    running, settings_for, typed_beside, order, tmp_path
):
    (first, body), (never, later) = order(), order()
    asked = ("orders", "show", never, "--journal", tmp_path / "journal.db")

    async def reason():
        told = (await typed_beside(*asked)).output
        return told if "down" in told else ""

    async def is_forgotten():
        return await outage_of(bridge.house.journal, "hellotext") is None

    async with running(settings_for("http://127.0.0.1:1")) as bridge:
        await bridge.post(body)
        await bridge.until(lambda: _is_down(bridge))
        await bridge.post(later)
        told = await bridge.until(reason)
        assert re.search(r"tried 0 times; hellotext is down since 20[0-9: -]+: unreachable", told)
    assert await reason() == told
    told = await typed_beside("journal", "stats", *asked[-2:])
    assert re.search(r"hellotext: 2 orders wait, .*; it is down since 20[0-9: -]+: unreachable", told.output)
    told = await typed_beside(*asked, "--json")
    (waiting,) = json.loads(told.output)[0]["waiting"]
    assert {"state": "down", "reason": "unreachable"}.items() <= waiting["trouble"].items()
    async with running() as bridge:
        await bridge.settled(first)
        await bridge.settled(never)
        await bridge.until(is_forgotten)


async def _is_down(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as told:
        return (await told.json())["destinations"][0]["state"] == "down"


async def _refused(bridge, number, body):
    """An order whose facts the API has refused: they are dead."""
    await bridge.fail(status=422, path="/v1/attribution/events")
    await bridge.post(body)
    await bridge.settled(number)


@pytest.mark.parametrize("runs", [True, False], ids=["beside a running bridge", "on a stopped one"])
async def test_dead_facts_are_listed_shown_and_retried(running, typed_beside, order, tmp_path, runs):
    where = ("--journal", tmp_path / "journal.db")
    number, body = order()
    async with running() as bridge:
        await _refused(bridge, number, body)
        await bridge.recover()
        told = await typed_beside("dead", "list", *where)
        assert "2 in all" in told.output
        ref = json.loads((await typed_beside("dead", "list", "--json", *where)).output.splitlines()[0])["ref"]
        told = await typed_beside("dead", "show", ref, *where)
        assert "422" in told.output
        assert body == (await typed_beside("dead", "show", ref, "--body", *where)).stdout_bytes
        if runs:
            told = await typed_beside("dead", "retry", "--reason", "refused", "--all", "--yes", *where)
            assert (0, "retry: 2 of 2\n      2  delivered\n") == (told.exit_code, told.stdout)
    if not runs:
        told = await typed_beside("dead", "retry", "--all", "--yes", *where)
        assert (0, "retry: 2 of 2\n      2  not tried yet\n") == (told.exit_code, told.stdout)
        assert "nobody serves this journal now" in told.stderr
    async with running() as bridge:
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
    told = (await typed_beside("orders", "show", number, *where)).output
    assert 2 == told.partition("came to nothing")[2].partition(" by hand")[0].count("422")
    assert 2 == told.partition(" by hand")[2].count("retried by hand order.")
    assert 1 == (await typed_beside("dead", "retry", "--all", "--yes", *where)).exit_code


async def test_what_is_refused_again_is_said_by_the_command_that_asked(running, typed_beside, order, log, tmp_path):
    where = ("--journal", tmp_path / "journal.db")
    number, body = order()
    async with running() as bridge:
        await _refused(bridge, number, body)
        told = await typed_beside("dead", "retry", "--all", "--yes", *where)
        assert 1 == told.exit_code
        assert "retry: 2 of 2\n      2  dead again: refused: POST events: 422" in told.stdout
    assert {"warning"} == {line["level"] for line in log() if line["event"] == "fact.settled"}


async def test_what_waits_after_a_retry_is_said_to_wait_and_for_what(running, typed_beside, order, tmp_path):
    where = ("--journal", tmp_path / "journal.db")
    number, body = order()
    async with running() as bridge:
        await _refused(bridge, number, body)
        await bridge.recover()
        await bridge.fail(status=503, path="/v1/attribution/events")
        told = await typed_beside("dead", "retry", "--all", "--yes", *where)
        assert 0 == told.exit_code
        assert "2  waiting: tried, and again at " in told.stdout


async def test_a_dropped_fact_is_never_sent(running, typed_beside, order, tmp_path):
    where = ("--journal", tmp_path / "journal.db")
    number, body = order(financial_status="pending")
    async with running() as bridge:
        await bridge.fail(status=422, path="/v1/attribution/events")
        await bridge.post(body)
        await bridge.settled(number)
        await bridge.recover()
        assert "drop: 1 of 1" in (await typed_beside("dead", "drop", "--all", "--yes", *where)).output
        await bridge.post(body, topic="orders/updated")
        await bridge.settled(number)
        assert {"order.placed": "dropped"} == await bridge.states(number)


@pytest.mark.parametrize(
    ("words", "state", "sent"),
    [
        (("send",), "delivered", 2),
        (("settle", "--as", "delivered"), "delivered", 1),
        (("settle", "--as", "dropped"), "dropped", 1),
    ],
    ids=["send", "delivered", "dropped"],
)
async def test_uncertain_facts_are_ended_by_a_persons_word(running, typed_beside, order, tmp_path, words, state, sent):
    where = ("--journal", tmp_path / "journal.db")
    nobody = {"email": "", "contact_email": None, "phone": None, "customer": None}
    number, body = order(**nobody, billing_address=None, shipping_address=None, financial_status="pending")
    async with running() as bridge:
        await bridge.fail(reset="after", times=1, path="/v1/attribution/events")
        await bridge.post(body)
        await bridge.settled(number)
        assert "1 in all" in (await typed_beside("uncertain", "list", *where)).output
        ended = await typed_beside("uncertain", *words, "--all", "--yes", *where)
        assert "1 of 1" in ended.output
        assert (words == ("send",)) == ("\n      1  delivered\n" in ended.output)
        await bridge.settled(number)
        assert {"order.placed": state} == await bridge.states(number)
        assert sent == len(await bridge.received())


async def test_a_held_rule_is_released_by_hand_and_its_orders_go_on(running, typed_beside, order, tmp_path):
    where = ("--journal", tmp_path / "journal.db")
    async with running() as bridge:
        await bridge.fail(status=422, path="/v1/attribution/events")
        for _ in range(80):
            await bridge.post(order(financial_status="pending")[1])

        async def held():
            stats = await bridge.house.journal.stats()
            return stats.waiting and not stats.oldest_due

        await bridge.until(held)
        await bridge.recover()
        assert "placed" in (await typed_beside("dead", "release", *where)).output
        assert "orders go on" in (await typed_beside("dead", "release", "hellotext", "placed", *where)).output

        async def done():
            return not (await bridge.house.journal.stats()).waiting

        await bridge.until(done)
        assert [] == list(await bridge.house.journal.holds())


async def test_journal_stats_count_what_waits_and_what_became_of_the_rest(running, typed_beside, order, tmp_path):
    async with running() as bridge:
        number, body = order()
        await bridge.post(body)
        await bridge.settled(number)
    told = json.loads((await typed_beside("journal", "stats", "--json", "--journal", tmp_path / "journal.db")).output)
    assert (1, 1, {}) == (told["documents"], told["orders"], told["waiting"])
    assert [{"destination": "hellotext", "state": "delivered", "count": 2}] == told["facts"]


async def test_send_posts_signed_files_and_says_how_they_were_answered(running, typed_beside, order, tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    (tmp_path / "order.json").write_bytes(order()[1])
    async with running() as bridge:
        told = await typed_beside(
            "send", "order.json", "--url", bridge.door, "--repeat", "5", "--fresh", "--rate", "200"
        )
        assert (0, "5 answered 200\n") == (told.exit_code, told.output)
        assert 5 == (await bridge.house.journal.stats()).envelopes
        with pytest.raises(BridgeError, match=r"not configured; there is: example\.myshopify\.com"):
            await typed_beside("send", "order.json", "--url", bridge.door, "--shop", "other.myshopify.com")
    told = await typed_beside("send", "order.json", "--url", bridge.door)
    assert (1, f"1 got no answer from {bridge.door}\n") == (told.exit_code, told.output)


async def test_send_verify_says_which_secret_fits_without_sending(settings_for, typed_beside, order, tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    _, body = order()
    (tmp_path / "order.json").write_bytes(body)
    source = settings_for("http://127.0.0.1:1").sources["shop"]
    signed = source.sign(body, topic="orders/create", tenant=None, delivery_id="x")
    signature = {name.lower(): value for name, value in signed.items()}["x-shopify-hmac-sha256"]
    told = await typed_beside("send", "order.json", "--verify", signature)
    assert (0, True) == (told.exit_code, "example.myshopify.com" in told.output)
    told = await typed_beside("send", "order.json", "--verify", "AAAA")
    assert (1, True) == (told.exit_code, "no configured secret" in told.output)
