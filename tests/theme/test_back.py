"""Pages that are older than the cart: after "Back", and shown again from memory."""

from tests.theme.storefront import LINK


async def test_who_comes_back_after_an_order_has_the_session_in_the_next_cart(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.add_in_drawer()
    session = await visit.carried()
    await visit.open("/checkout")
    await visit.back()
    await visit.until(lambda: "GET /cart.js" in visit.shop.asked)
    await visit.add_in_drawer()
    await visit.until(lambda: len(visit.shop.carts) == 2)
    await visit.carried(session)
    assert 2 == len(visit.shop.updates)


async def test_who_goes_back_to_a_page_older_than_the_cart_causes_no_second_update(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.carried()
    await visit.open("/")
    await visit.back()
    await visit.until(lambda: "GET /cart.js" in visit.shop.asked)
    await visit.rest()
    assert (1, 1) == (len(visit.shop.updates), visit.shop.asked.count("GET /cart.js"))
    await visit.run(f"Hellotext.session = '{LINK}'")
    await visit.carried(LINK)


async def test_what_is_added_during_the_look_is_not_forgotten(walk):
    visit = await walk()
    visit.shop.readable.clear()
    await visit.open("/products/lamp")
    await visit.open("/")
    await visit.back()
    await visit.until(lambda: "GET /cart.js" in visit.shop.asked)
    await visit.add_in_drawer()
    await visit.carried()
    visit.shop.readable.set()
    await visit.rest()
    await visit.run(f"Hellotext.session = '{LINK}'")
    await visit.carried(LINK)


async def test_who_has_no_session_goes_back_without_a_request(walk):
    visit = await walk(library="never")
    await visit.open("/products/lamp")
    await visit.open("/")
    await visit.back()
    await visit.rest()
    assert "GET /cart.js" not in visit.shop.asked


async def test_a_page_that_is_shown_again_from_memory_looks_at_the_cart_anew(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.add_in_drawer()
    session = await visit.carried()
    await visit.run("fetch('/checkout').then(() => true)")  # in another tab
    await visit.run("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await visit.until(lambda: "GET /cart.js" in visit.shop.asked)
    await visit.rest()
    assert 1 == len(visit.shop.updates)
    await visit.add_in_drawer()
    await visit.until(lambda: len(visit.shop.carts) == 2)
    await visit.carried(session)
