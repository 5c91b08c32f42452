"""What the API lists, page by page, whatever size its pages have."""

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from bridge.contract import Response
from bridge.errors import ErrandFailed
from bridge.setting_types import Secret
from connectors.hellotext import Hellotext

ORDERS = [{"id": f"o{number}", "reference": str(number)} for number in range(200)]


def _missing(references, page):
    """page: the last id of the page before to the page."""
    errand = Hellotext(token=Secret("t0ken")).missing(references)
    answer = None
    try:
        while True:
            after = parse_qs(urlsplit(errand.send(answer).url).query).get("starting_after", [""])[0]
            answer = Response(status=200, body=msgspec.json.encode(page(after)))
    except StopIteration as end:
        return end.value


def test_an_api_with_shorter_pages_than_were_asked_for_is_read_to_its_end():
    def page(after):
        start = int(after[1:]) + 1 if after else 0
        return ORDERS[start : start + 25]

    assert {"nowhere"} == _missing({"3", "199", "nowhere"}, page)


def test_an_api_that_gives_the_same_page_again_and_again_ends_it():
    with pytest.raises(ErrandFailed, match="the same page"):
        _missing({"nowhere"}, lambda _after: ORDERS[:100])
