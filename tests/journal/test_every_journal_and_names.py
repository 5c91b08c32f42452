"""What rules call their facts, beside what a journal has keys of: a fact is new, renamed, or no longer made."""

from dataclasses import replace

import pytest

from bridge.config import read
from bridge.contract import State
from bridge.fact_names import Renamed, check_and_remember, naming

FILE = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:S]}}}}}}
destinations:
  api: {{connector: hellotext, token: env:S}}
  {other}: {{connector: hellotext, token: env:S{formerly}}}
rules:
{rules}
"""
RULE = """  {rule}:
    {{for: order, to: {to}, fact: {fact}, at: = order.created_at, give: {{action: order.placed, session: s}}{more}}}"""


def rule(name, fact=None, more="", to="api"):
    return RULE.format(rule=name, fact=fact or name, to=to, more=f", {more}" if more else "")


def settings(*rules, other="second", formerly=""):
    return read(FILE.format(rules="\n".join(rules), other=other, formerly=formerly), environ={"S": "secret"})


def only(chosen, dest):
    """Without the other destinations."""
    return replace(chosen, destinations={dest: chosen.destinations[dest]})


PLACED, PAID, BIG = rule("placed"), rule("paid"), rule("big")


@pytest.fixture
def taken(opened, desk):
    """Starts with these settings, and has these facts sent."""

    async def start(chosen, *facts, state=State.DELIVERED):
        async with opened() as journal:
            removed = [fact for *_, fact in (await naming(journal, chosen)).removed()]
            await check_and_remember(journal, chosen)
            for fact in facts:
                await desk.carry(journal, desk.document(), desk.fact(state, fact=fact, once=f'["{fact}"]'))
            return removed

    return start


async def refused(start, chosen):
    with pytest.raises(Renamed) as raised:
        await start(chosen)
    return str(raised.value)


async def test_a_rule_that_was_added_can_be_removed_though_other_facts_never_came_up(taken):
    await taken(settings(PLACED, PAID))
    await taken(settings(PLACED, PAID, BIG), "big", state=State.DEAD)
    assert ["big"] == await taken(settings(PLACED, PAID))
    assert [] == await taken(settings(PLACED, PAID))  # it is said once


async def test_a_fact_that_is_really_new_beside_keys_of_one_that_is_gone_is_refused_with_its_line(taken):
    await taken(settings(PLACED, PAID), "placed")
    made = rule("placed", "made")
    said = await refused(taken, settings(made, PAID))
    assert "bridge.yaml:9:33: rules.placed: made is new for destination api" in said
    assert (
        "keys of placed, which no rule makes any more. If it was renamed, write `formerly: placed` in its rule" in said
    )
    assert "paid" not in said
    assert [] == await taken(settings(rule("placed", "made", "formerly: placed"), PAID))


async def test_a_fact_with_another_name_than_its_rule_is_told_with_its_rule(taken):
    await taken(settings(rule("first", "order.placed"), PAID), "order.placed")
    assert "keys of order.placed (rule first)" in await refused(taken, settings(BIG, PAID))


async def test_a_rename_in_two_steps_is_refused_too(taken):
    await taken(settings(PLACED, PAID), "placed")
    await taken(settings(PAID))
    assert "made is new" in await refused(taken, settings(rule("made"), PAID))
    await taken(settings(rule("made", more="formerly: []"), PAID))


async def test_a_fact_that_another_rule_could_give_is_new_for_this_one(taken):
    await taken(settings(PLACED, BIG), "placed")
    assert "big is new" in await refused(taken, settings(rule("placed", "big")))


async def test_what_was_said_once_need_not_be_said_again(taken):
    await taken(settings(PLACED), "placed")
    assert "made is new" in await refused(taken, settings(rule("placed", "made")))
    await taken(settings(rule("placed", "made", "formerly: placed")))
    await taken(settings(rule("placed", "made")))


async def test_what_lets_a_fact_through_at_one_destination_does_not_at_another(taken):
    await taken(settings(PLACED, rule("paid", to="second")), "placed")
    there = rule("paid", "made", "formerly: placed", to="second")
    assert "made is new for destination api" in await refused(taken, settings(rule("placed", "made"), there))


async def test_what_is_refused_is_not_remembered(taken):
    await taken(settings(PLACED), "placed")
    for _ in range(2):
        await refused(taken, settings(rule("made")))


async def test_each_destination_has_names_of_its_own(taken):
    await taken(settings(PLACED, rule("paid", to="second")), "placed")
    await taken(settings(PLACED, rule("paid", to="second"), BIG), "big")
    assert ["big"] == await taken(settings(PLACED, rule("paid", to="second")))
    await taken(settings(PLACED, rule("fresh", to="second")))


async def test_a_destination_that_sent_nothing_yet_is_not_new(taken):
    await taken(settings(PLACED), "placed")
    await taken(only(settings(rule("placed", to="second")), "second"))


async def test_a_destination_that_is_renamed_is_refused_and_one_that_is_another_is_not(taken):
    await taken(settings(PLACED, rule("paid", to="second")), "placed")
    renamed = settings(PLACED, rule("paid", to="third"), other="third")
    await taken(renamed)  # `second` has no keys that could be sent again
    fourth = only(settings(rule("placed", to="fourth"), other="fourth"), "fourth")
    assert "destinations.fourth: is new, and the journal keeps keys of destination api" in await refused(taken, fourth)
    another = settings(rule("placed", to="fourth"), other="fourth", formerly=", formerly: []")
    await taken(only(another, "fourth"))


async def test_a_journal_that_remembers_nothing_yet_asks_about_every_fact_without_keys(opened, taken, desk):
    async with opened() as journal:
        await desk.carry(journal, desk.document(), desk.fact(fact="big"))
    assert "placed has no keys yet for destination api" in await refused(taken, settings(PLACED))
    assert "`formerly: big`" in await refused(taken, settings(PLACED))
    await taken(settings(PLACED, BIG))
    assert ["big"] == await taken(settings(PLACED))


MADE = rule("placed", "made", "formerly: placed")


async def test_names_that_were_ever_one_stay_one_in_both_directions(taken, opened, desk):
    await taken(settings(PLACED), "placed")
    await taken(settings(MADE), "made")
    assert [] == await taken(settings(PLACED)), "taken back"
    assert [] == await taken(settings(rule("placed", "made"))), "and again, without a word"
    assert [] == await taken(settings(rule("placed", "done", "formerly: placed")))
    async with opened() as journal:
        assert {("api", "made", "placed"), ("api", "done", "placed")} == set(await journal.united())


async def test_a_rename_that_was_taken_back_before_anything_was_sent_by_the_old_name_is_none(taken):
    await taken(settings(PLACED))
    await taken(settings(MADE), "made")
    assert [] == await taken(settings(PLACED))


async def test_a_rename_that_was_taken_back_and_that_nobody_remembers_is_refused(taken, opened, desk):
    await taken(settings(rule("first", "placed")), "placed")
    await taken(settings(rule("first", "placed"), rule("second", "made")), "made")
    await taken(settings(rule("second", "made")))
    said = await refused(taken, settings(rule("second", "placed")))
    assert "placed is made again for destination api, of which the journal keeps keys of made (rule second)" in said
    await taken(settings(rule("second", "placed", "formerly: made")))


async def test_names_that_were_one_are_not_made_side_by_side_without_a_word(taken):
    await taken(settings(PLACED), "placed")
    await taken(settings(MADE), "made")
    said = await refused(taken, settings(rule("second", "made"), PLACED))
    assert "placed was another name of made for destination api, and now rule second makes made beside it" in said
    await taken(settings(rule("second", "made"), rule("placed", more="formerly: []")))
    await taken(settings(rule("second", "made", "formerly: placed"), PLACED))


async def test_a_claim_knows_the_names_that_are_one_whoever_said_so(opened, desk):
    async with opened() as journal:
        await desk.carry(journal, desk.document(), desk.fact(fact="placed"))
        await journal.unite([("api", "made", "placed"), ("other", "x", "y")])
        await journal.append(desk.document())
        claim = await desk.claim(journal)
        assert {("made", "placed")} == claim.united
        assert {("placed", "[]"): State.DELIVERED} == claim.held
        assert frozenset({("placed", "[]")}) >= claim.own
