"""What forms carry: that of the cart, and those of products, for "Buy it now"."""

from tests.theme.storefront import CART_ONLY


async def test_the_form_of_the_cart_carries_the_session_where_no_request_comes_through(walk):
    visit = await walk(failures=1000)
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    session = await visit.session()
    await visit.click("#checkout", to_a_page=True)
    assert [{"name": "hello_session", "value": session}] == visit.shop.orders[0]["note_attributes"]


async def test_a_form_that_comes_later_is_filled_when_it_is_sent(walk):
    visit = await walk()
    await visit.open("/")
    form = '<form action="/cart/add" method="post"><input name="id" value="1"><button id="late">Add</button></form>'
    await visit.run(f"document.body.insertAdjacentHTML('beforeend', '{form}')")
    await visit.click("#late", to_a_page=True)
    assert [{"_hello_session": await visit.session()}] == visit.shop.cart.lines


async def test_buying_now_goes_past_the_cart_with_the_session_in_the_line(walk):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.visitor.leading_to_a_page(visit.click("#buy-now"))
    expected = {"note_attributes": [], "properties": [[{"name": "_hello_session", "value": await visit.session()}]]}
    assert [expected] == visit.shop.orders


async def test_lines_stay_as_they_are_where_buying_now_is_switched_off(walk):
    visit = await walk(snippet=CART_ONLY)
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.carried()
    assert [{}] == visit.shop.cart.lines
