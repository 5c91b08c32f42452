"""What one rule, or one fact, is refused stops no other, through the whole bridge."""

from dataclasses import replace

from bridge import journals

REDEEMED = "rules: {redeemed: true}\n"
EVENTS = "/v1/attribution/events"


def _with_a_code(order, code="SUMMER"):
    return order(discount_codes=[{"code": code, "amount": "5.00", "type": "fixed_amount"}])


def _without(order, **more):
    return order(discount_codes=[], **more)


async def _told(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as told:
        return (await told.json())["destinations"][0]


async def _paused(bridge):
    return (await _told(bridge))["state"] == "paused"


async def _held(bridge):
    return [hold.rule for hold in await bridge.house.journal.holds()]


async def test_an_action_that_is_not_allowed_holds_its_rule_and_everything_else_goes_on(
    running, settings_for, sandbox, order
):
    async with running(settings_for(sandbox, more=REDEEMED)) as bridge:
        await bridge.fail(status=403, path=EVENTS, holds="coupon.redeemed")
        for _ in range(20):
            await bridge.post(_with_a_code(order)[1])
        number, body = _without(order)
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        # Each refusal pauses everything until another fact is accepted: here one new order after the other.
        while not await _held(bridge):
            number, body = _without(order)
            await bridge.post(body)
            await bridge.settled(number)
        assert ["redeemed"] == await _held(bridge)
        told = await _told(bridge)
        assert ["redeemed"] == told["held_rules"]
        assert "POST events: 403 told_to_fail, while those of other rules are accepted" == told["holds"][0]["detail"]
        number, body = _without(order)
        await bridge.post(body)
        await bridge.settled(number)
        assert not await _paused(bridge)

        await bridge.recover()
        async with journals.store_of(bridge.settings.journal).acting() as person:
            await person.release("hellotext", "redeemed")

        async def all_sent():
            return 20 == [line["body"]["action"] for line in await bridge.received() if line["status"] == 200].count(
                "coupon.redeemed"
            )

        await bridge.until(all_sent)


async def test_the_probe_of_a_pause_is_a_fact_of_another_rule_than_the_one_that_was_denied(
    running, settings_for, sandbox, order
):
    settings = settings_for(sandbox, more=REDEEMED)
    narrow = settings.delivery.model_copy(update={"concurrency": 4})
    async with running(replace(settings, delivery=narrow)) as bridge:
        await bridge.fail(status=403, path=EVENTS, holds="coupon.redeemed")
        for _ in range(60):
            await bridge.post(_with_a_code(order)[1])

        async def only_codes_wait():
            lines = await bridge.received()
            return 120 == sum(line["status"] == 200 for line in lines)

        # What is denied fills all that may be in flight: the other orders are found behind it.
        await bridge.until(only_codes_wait)
        before = len(await bridge.received())
        number, body = _without(order)
        await bridge.post(body)
        await bridge.settled(number)
        denied = [line for line in (await bridge.received())[before:] if line["status"] == 403]
        assert len(denied) < 10


async def test_a_person_whom_alone_the_api_denies_becomes_a_dead_letter(running, order):
    async with running() as bridge:
        await bridge.fail(status=403, path="/v1/profiles", holds="denied@example.com")
        person = {"email": "denied@example.com", "contact_email": None, "phone": None, "customer": None}
        denied, body = _without(
            order, **person, billing_address=None, shipping_address=None, financial_status="pending"
        )
        await bridge.post(body)

        async def is_dead():
            number, body = _without(order, financial_status="pending")
            await bridge.post(body)
            await bridge.settled(number)
            return (await bridge.story(denied)).facts

        (fact,) = await bridge.until(is_dead)
        assert ("dead", "not allowed") == (fact["state"], fact["reason"])
        assert "while others of the rule are accepted" in fact["detail"]
        assert [] == await _held(bridge)


async def test_a_token_that_is_not_allowed_holds_no_rule_and_kills_no_fact(running, order):
    async with running() as bridge:
        numbers = []
        for _ in range(4):
            await bridge.fail(status=401)
            number, body = _without(order)
            numbers.append(number)
            await bridge.post(body)
            await bridge.until(lambda: _paused(bridge))
            await bridge.recover()
            await bridge.settled(number)
        assert [] == await _held(bridge)
        for number in numbers:
            assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)


async def test_a_rule_that_alone_is_told_to_wait_makes_nobody_else_wait(running, settings_for, sandbox, order):
    async with running(settings_for(sandbox, more=REDEEMED)) as bridge:
        await bridge.fail(status=429, retry_after=0.5, path=EVENTS, holds="coupon.redeemed")
        codes = 0

        async def it_waits_alone():
            nonlocal codes
            codes += 1
            await bridge.post(_with_a_code(order)[1])
            number, body = _without(order)
            await bridge.post(body)
            await bridge.settled(number)
            stories = [attempt["detail"] for attempt in await _attempts(bridge)]
            return any("alone are told to wait" in detail for detail in stories)

        await bridge.until(it_waits_alone)
        assert [] == await _held(bridge)
        await bridge.recover()

        async def all_sent():
            return codes == [line["body"]["action"] for line in await bridge.received() if line["status"] == 200].count(
                "coupon.redeemed"
            )

        await bridge.until(all_sent)


async def _attempts(bridge):
    attempts = []
    for kept in await bridge.house.journal.orders(after=0, limit=1000):
        attempts += (await bridge.house.journal.story(kept.lane)).attempts
    return attempts
