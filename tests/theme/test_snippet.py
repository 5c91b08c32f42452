"""What the carts and orders of a shop hold after somebody walked through it, and what it was asked for on the way."""

import pytest

from tests.theme.storefront import LINK, SNIPPET


async def test_the_session_comes_into_the_cart_with_one_request_and_stays_there(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    session = await visit.carried()
    for path in ("/", "/products/lamp", "/cart"):
        await visit.open(path)
        await visit.rest()
    assert [{"attributes": {"hello_session": session}}] == visit.shop.updates


async def test_it_does_not_wait_for_the_next_look(walk):
    visit = await walk(before="window.setInterval = () => {};")
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.until(lambda: visit.shop.held)


async def test_who_buys_nothing_causes_no_request_and_no_cart(walk):
    visit = await walk()
    for path in ("/", "/products/lamp", "/cart"):
        await visit.open(path)
        await visit.rest()
    assert await visit.session()
    assert {} == visit.shop.carts
    assert [] == visit.shop.updates


async def test_a_session_that_comes_late_is_waited_for(walk):
    visit = await walk(library="late")
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.rest()
    assert ({}, []) == (visit.shop.cart.attributes, visit.shop.updates)
    visit.shop.let_in.set()
    await visit.until(lambda: visit.shop.held)
    assert await visit.session() == visit.shop.held
    assert 1 == len(visit.shop.updates)


@pytest.mark.parametrize("library", ["never", "idle"])
async def test_without_a_session_nothing_is_written_anywhere(walk, library):
    visit = await walk(library=library)
    await visit.open("/products/lamp")
    await visit.rest()
    assert 1 == await visit.run("document.querySelectorAll('form input').length")
    await visit.click("#add", to_a_page=True)
    await visit.rest()
    assert ([{}], {}, []) == (visit.shop.cart.lines, visit.shop.cart.attributes, visit.shop.updates)


@pytest.mark.parametrize("text", ["", "undefined", "null", "Undefined", "NULL", "not a session", "%22", "x" * 129])
async def test_what_is_no_session_is_not_carried(walk, text):
    visit = await walk(library="never")
    await visit.open("/products/lamp")
    await visit.run(f"document.cookie = 'hello_session={text}; path=/'")
    await visit.click("#add", to_a_page=True)
    await visit.rest()
    assert [] == visit.shop.updates


async def test_a_cookie_of_another_name_is_not_taken_for_it(walk):
    visit = await walk(library="never")
    await visit.open("/products/lamp")
    await visit.run("document.cookie = 'old_hello_session=of-another; path=/'")
    await visit.run("document.cookie = 'hello_session_ack_at=1669680000; path=/'")
    await visit.click("#add", to_a_page=True)
    await visit.rest()
    assert [] == visit.shop.updates


async def test_a_new_session_takes_the_place_of_the_old_one(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    first = await visit.carried()
    await visit.open(f"/products/lamp?utm_source=hellotext&hello_session={LINK}")
    await visit.carried(LINK)
    assert [first, LINK] == [update["attributes"]["hello_session"] for update in visit.shop.updates]
    field = "document.querySelector('[name=\"properties[_hello_session]\"]')"
    assert [LINK] == await visit.run(f"[{field}.value]")


async def test_a_session_that_changes_on_an_open_page_is_carried_too(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.carried()
    await visit.run(f"Hellotext.session = '{LINK}'")
    await visit.carried(LINK)
    assert 2 == len(visit.shop.updates)
    fields = "document.querySelectorAll('input[name=\"attributes[hello_session]\"]')"
    assert [LINK] == await visit.run(f"[...{fields}].map((field) => field.value)")


async def test_a_cart_drawer_that_opens_no_page_is_seen(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.rest()
    assert [] == visit.shop.updates
    await visit.add_in_drawer()
    await visit.carried()
    await visit.add_in_drawer()
    await visit.rest()
    assert 1 == len(visit.shop.updates)


async def test_other_attributes_of_the_cart_stay(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.add_in_drawer()
    session = await visit.carried()
    visit.shop.cart.attributes["gift note"] = "for you"
    await visit.run(f"Hellotext.session = '{LINK}'")
    await visit.carried(LINK)
    assert {"hello_session": LINK, "gift note": "for you"} == visit.shop.cart.attributes
    assert [["hello_session"]] * 2 == [list(update["attributes"]) for update in visit.shop.updates]
    assert session != LINK


async def test_a_request_that_fails_is_repeated_and_the_shop_goes_on(walk):
    visit = await walk(failures=2)
    await visit.open("/products/lamp")
    await visit.add_in_drawer()
    await visit.carried()
    assert 3 == len(visit.shop.updates)
    assert "lamp" in await visit.run("location.pathname")


async def test_while_requests_fail_they_become_rare(walk):
    visit = await walk(failures=1000)
    await visit.open("/products/lamp")
    await visit.add_in_drawer()
    await visit.until(lambda: len(visit.shop.updates) == 4)
    assert [5000, 10000, 20000] == (await visit.run("window.pauses"))[:3]
    await visit.click("#add", to_a_page=True)
    assert 2 == len(visit.shop.cart.lines)


async def test_a_cart_that_became_an_order_is_followed_by_one_with_the_session(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    session = await visit.carried()
    await visit.click("#checkout", to_a_page=True)
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.until(lambda: len(visit.shop.carts) == 2)
    await visit.carried(session)
    assert 2 == len(visit.shop.updates)


async def test_a_cart_that_is_emptied_is_filled_again_with_the_session(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.add_in_drawer()
    session = await visit.carried()
    await visit.run("fetch('/cart/clear.js', {method: 'POST'}).then(() => true)")
    await visit.rest()
    assert ([], {}) == (visit.shop.cart.lines, visit.shop.cart.attributes)
    await visit.add_in_drawer()
    assert session == await visit.carried()


async def test_it_may_be_pasted_twice(walk):
    visit = await walk(snippet=SNIPPET * 2)
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.carried()
    assert 1 == len(visit.shop.updates)


async def test_a_shop_in_several_languages_is_asked_at_its_own_address(walk):
    visit = await walk(root="/fr/")
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.carried()
    assert ["POST /fr/cart/add", "POST /fr/cart/update.js"] == [
        line for line in visit.shop.asked if line.startswith("POST")
    ]


async def test_what_a_link_put_into_the_cart_stays_text(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.add_in_drawer()
    session = await visit.carried()
    visit.shop.cart.attributes["hello_session"] = '"><script>window.broken = true</script>'
    await visit.open("/")
    await visit.carried(session)
    assert await visit.run("window.broken === undefined")
