"""A small shop: its pages carry the snippet, its carts behave as Shopify's do, what is checked out becomes an order.

The snippet is rendered by Liquid for each page, as Shopify does it. Beside it there is a library that keeps a session
as hellotext.js does (docs/contracts/hellotext.md 6.1): at once, later, or without making one; or none is there.
"""

import asyncio
import json
import re
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import liquid
from aiohttp import web

ROOT = Path(__file__).parents[2]
SNIPPET = (ROOT / "connectors/shopify/theme/hello-session.liquid").read_text()
LINK = "8d5b0f52-0000-4000-8000-00000000beef"  # the session of a short link in a message
CART_ONLY = SNIPPET.replace("var BUY_NOW = true;", "var BUY_NOW = false;")

LIBRARY = """
window.Hellotext = {
  get session() { return (/hello_session=([^;]*)/.exec(document.cookie) || [])[1]; },
  set session(value) { document.cookie = `hello_session=${value}; path=/; max-age=315360000; SameSite=Lax`; },
  async initialize({autoGenerateSession}) {
    const given = new URLSearchParams(location.search).get('hello_session') || Hellotext.session;
    if (!given) Hellotext.session = undefined;
    await null;
    if (given || autoGenerateSession) Hellotext.session = given || crypto.randomUUID();
  }
};
Hellotext.initialize({autoGenerateSession: %s});
"""
EARLY = '<script src="/hellotext.js"></script>'
LATE = """<script>addEventListener('load', () => {
  document.head.append(Object.assign(document.createElement('script'), {src: '/hellotext.js'}));
});</script>"""

PAGE = """<!doctype html>
<script>window.Shopify = {routes: {root: "%(root)s"}};</script>
%(library)s
%(body)s
%(snippet)s
"""
PRODUCT = """
<form action="%(root)scart/add" method="post" id="product">
  <input type="hidden" name="id" value="1">
  <button id="add">Add to cart</button>
  <button type="button" id="buy-now">Buy it now</button>
</form>
<script>
  const post = (path) => fetch(path, {method: 'POST', body: new FormData(product)});
  const drawer = () => post('/cart/add.js');
  document.querySelector('#buy-now').onclick = () => post('/checkout/now').then(() => { location = '/thanks'; });
</script>
"""
CART = '<form action="%(root)scart" method="post" id="cart"><button id="checkout">Check out</button></form>'


@dataclass
class Cart:
    lines: list = field(default_factory=list)
    attributes: dict = field(default_factory=dict)


@dataclass
class Storefront:
    """What the shop is like, what it holds, and what it was asked for."""

    library: str = "early"  # late: when it is let in; never; idle: it is there, and makes no session
    root: str = "/"
    snippet: str = SNIPPET
    url: str = ""
    failures: int = 0  # so many updates of the cart are refused
    carts: dict = field(default_factory=dict)
    orders: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    updates: list = field(default_factory=list)
    let_in: asyncio.Event = field(default_factory=asyncio.Event)
    readable: asyncio.Event = field(default_factory=asyncio.Event)  # the cart is read; told only while this is set

    def __post_init__(self):
        self.readable.set()

    @property
    def cart(self):
        """The newest."""
        return list(self.carts.values())[-1]

    @property
    def held(self):
        """The session in the newest cart, if there is any."""
        return self.cart.attributes.get("hello_session") if self.carts else None

    # -- pages

    def page(self, request, body=""):
        cart = self._cart_of(request) or Cart()
        given = {"item_count": len(cart.lines), "attributes": cart.attributes}
        text = PAGE % {
            "root": self.root,
            "library": {"never": "", "late": LATE}.get(self.library, EARLY),
            "body": body % {"root": self.root},
            "snippet": liquid.render(self.snippet, cart=given),
        }
        return web.Response(text=text, content_type="text/html")

    async def hellotext(self, _request):
        if self.library == "late":
            await self.let_in.wait()
        text = LIBRARY % json.dumps(self.library != "idle")
        return web.Response(text=text, content_type="text/javascript")

    # -- the cart

    def _cart_of(self, request):
        return self.carts.get(request.cookies.get("cart"))

    def _answer(self, response, cart):
        """With the cookie of this cart; a new one is kept from now on."""
        if not any(each is cart for each in self.carts.values()):
            self.carts[uuid.uuid4().hex] = cart
        response.set_cookie("cart", next(token for token, each in self.carts.items() if each is cart))
        return response

    def _told(self, cart):
        told = {"item_count": len(cart.lines), "attributes": cart.attributes}
        return self._answer(web.json_response(told), cart)

    async def read(self, request):
        cart = self._cart_of(request) or Cart()
        answer = web.json_response({"item_count": len(cart.lines), "attributes": cart.attributes})
        await self.readable.wait()
        return answer

    async def update(self, request):
        told = await request.json()
        self.updates.append(told)
        if self.failures:
            self.failures -= 1
            return web.json_response({"message": "too much"}, status=429)
        cart = self._cart_of(request) or Cart()
        cart.attributes |= told["attributes"]
        return self._told(cart)

    async def add(self, request):
        cart = self._cart_of(request) or Cart()
        cart.lines.append(_bracketed(await request.post(), "properties"))
        if request.path.endswith(".js"):
            return self._told(cart)
        return self._answer(_see(f"{self.root}cart"), cart)

    async def clear(self, request):
        cart = self._cart_of(request) or Cart()
        cart.lines, cart.attributes = [], {}
        return self._told(cart)

    # -- the checkout

    async def submit(self, request):
        self._cart_of(request).attributes |= _bracketed(await request.post(), "attributes")
        return _see("/checkout")

    async def check_out(self, request):
        cart = self._cart_of(request)
        self._order(cart.attributes, cart.lines)
        response = _see("/thanks")
        response.del_cookie("cart")
        return response

    async def buy_now(self, request):
        self._order({}, [_bracketed(await request.post(), "properties")])
        return web.Response()

    def _order(self, attributes, lines):
        self.orders.append({"note_attributes": _pairs(attributes), "properties": [_pairs(line) for line in lines]})


def _see(address):
    return web.Response(status=303, headers={"Location": address})


def _bracketed(fields, name):
    """What stands in the brackets of `name[...]`."""
    found = ((re.fullmatch(rf"{name}\[(.*)\]", key), value) for key, value in fields.items())
    return {match[1]: value for match, value in found if match}


def _pairs(values):
    return [{"name": name, "value": value} for name, value in values.items()]


@asynccontextmanager
async def open_for_business(**how):
    """The shop, until the block ends. What it is asked for is noted before it is answered."""
    shop = Storefront(**how)

    @web.middleware
    async def noted(request, handler):
        shop.asked.append(f"{request.method} {request.path}")
        return await handler(request)

    async def page(request):
        return shop.page(request)

    async def product(request):
        return shop.page(request, PRODUCT)

    async def cart(request):
        return shop.page(request, CART)

    async def thanks(_request):
        return web.Response(text="<!doctype html>Thank you", content_type="text/html")

    app = web.Application(middlewares=[noted])
    app.add_routes([web.get("/thanks", thanks), web.get("/checkout", shop.check_out)])
    app.add_routes([web.get("/hellotext.js", shop.hellotext), web.post("/checkout/now", shop.buy_now)])
    app.add_routes([web.get("/", page), web.get("/products/lamp", product)])
    for root in {"/", shop.root}:
        app.add_routes([web.get(f"{root}cart", cart), web.post(f"{root}cart", shop.submit)])
        app.add_routes([web.get(f"{root}cart.js", shop.read), web.post(f"{root}cart/update.js", shop.update)])
        app.add_routes([web.post(f"{root}cart/add", shop.add), web.post(f"{root}cart/add.js", shop.add)])
        app.add_routes([web.post(f"{root}cart/clear.js", shop.clear)])
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield shop
    finally:
        shop.let_in.set()
        await runner.cleanup()
