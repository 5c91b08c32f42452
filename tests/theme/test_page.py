"""What the merchant's page shows and says is so."""

import re
from pathlib import Path

import yaml

from tests.theme.storefront import CART_ONLY, SNIPPET

ROOT = Path(__file__).parents[2]
SHOPIFY = ROOT / "connectors/shopify"
PAGE = (ROOT / "connectors/shopify/theme/README.md").read_text()


def test_the_text_to_paste_is_the_file():
    assert SNIPPET == re.findall(r"^```liquid\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[-1]


def test_the_line_that_switches_buying_now_off_stands_in_the_snippet():
    before, after = "var BUY_NOW = true;", "var BUY_NOW = false;"
    assert f"write `{after}` instead of `{before}`" in PAGE
    assert SNIPPET.replace(before, after) == CART_ONLY != SNIPPET


def test_the_places_are_those_that_the_rules_read_in_their_order():
    session = yaml.safe_load((SHOPIFY / "rules/default.yaml").read_text())["rules"]["placed"]["give"]["session?"]
    read = [re.search(r'"(_*hello_session)"', place)[1] for place in session["first_of"]]
    said = re.findall(r"`(_*hello_session)`", PAGE.partition("For engineers")[2])
    assert said == read
    assert {"hello_session", "_hello_session"} <= set(read)


def test_it_speaks_to_nobody_but_the_shop():
    assert {"root + 'cart.js'", "root + 'cart/update.js'"} == set(re.findall(r"fetch\((.*?),", SNIPPET))
    assert not re.search(r"https?:|localStorage|cookie\s*=[^=]|email|consent", SNIPPET)


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE)
    assert links
    assert [] == [link for link in links if not (SHOPIFY / "theme" / link).exists()]
