"""What a person is told about facts and rules that wait for a word."""

import asyncio

import pytest

from tests.cli.conftest import CONFIG


@pytest.fixture
async def held(running, typed, order, tmp_path):
    """A bridge with the rule `placed` held, and commands beside it."""
    where = ("--journal", tmp_path / "journal.db")

    async def invoke(*words):
        return await asyncio.to_thread(typed, *words, *where)

    async with running() as bridge:
        await bridge.fail(status=422, path="/v1/attribution/events")
        for _ in range(40):
            await bridge.post(order(financial_status="pending")[1])

        async def is_held():
            return await bridge.house.journal.holds()

        await bridge.until(is_held)
        yield bridge, invoke


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("placed",), "name the destination and the rule: `dead release hellotext placed`"),
        (("hellotext", "nosuch"), "no rule nosuch of hellotext is held; there is: `dead release hellotext placed`"),
    ],
)
async def test_a_rule_that_is_not_named_rightly_is_not_released(held, words, said):
    bridge, typed_beside = held
    told = await typed_beside("dead", "release", *words)
    assert (2, True) == (told.exit_code, said in told.output)
    assert await bridge.house.journal.holds()


async def test_where_no_rule_is_held_that_is_said(running, typed, tmp_path):
    where = ("--journal", tmp_path / "journal.db")
    async with running():
        told = await asyncio.to_thread(typed, "dead", "release", *where)
        assert (0, "no rule is held\n") == (told.exit_code, told.output)
        told = await asyncio.to_thread(typed, "dead", "release", "hellotext", "placed", *where)
        assert (2, True) == (told.exit_code, "no rule is held" in told.output)


async def test_held_rules_are_named_wherever_dead_facts_are(held):
    _, typed_beside = held
    for words in (("list",), ("retry", "--all", "--yes")):
        told = await typed_beside("dead", *words)
        assert 0 == told.exit_code
        assert "`dead release hellotext placed` lets them go on" in told.stderr


async def test_a_bar_of_progress_is_for_terminals_only(held):
    _, typed_beside = held
    told = await typed_beside("dead", "drop", "--all", "--yes")
    assert "" == told.stderr


async def test_a_request_of_a_platform_is_not_retried_but_told_what_to_do_with(running, typed, tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    where = ("--journal", tmp_path / "journal.db")
    async with running() as bridge:
        sent = await asyncio.to_thread(typed, "send", "--example", "customers_data_request", "--url", bridge.door)
        assert 0 == sent.exit_code, sent.output
        told = await asyncio.to_thread(typed, "dead", "retry", "--all", "--yes", *where)
        assert 1 == told.exit_code
        assert "is a request of example.myshopify.com (customers/data_request)" in told.stderr
        assert "`disclose REF --done`" in told.stderr
        told = await asyncio.to_thread(typed, "journal", "stats", *where)
        assert "of no destination (requests of a platform, what could not be read): 1 facts dead" in told.output
