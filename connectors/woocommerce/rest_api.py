"""The shop's REST API, asked with patience: keys, pages, limits and refusals. Pure: it yields what to ask.

The shop answers from the machine that serves its buyers. So there is one request at a time, and a pause between pages.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Literal, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from bridge.contract import Json, Request, Response
from bridge.errand import Errand, Wait
from bridge.errors import ErrandFailed, NoAnswer
from bridge.surrogates import decoded
from connectors.woocommerce.access import Access

_TRIES: Final = 6  # tries
_PER_PAGE: Final = 50  # documents; the API gives at most 100
_LONGEST_ANSWER: Final = 64 * 1024 * 1024  # bytes
_LONGEST_WAIT: Final = timedelta(minutes=2)
_ONE_SECOND: Final = timedelta(seconds=1)
_BETWEEN_PAGES: Final = timedelta(milliseconds=250)
_NO_LIST: Final = "the answer is no list: is a security plugin, a cache or a maintenance page before the API?"
_REFUSALS: Final[Mapping[int, str]] = {
    400: "the shop does not take these parameters: is its WooCommerce up to date?",
    401: "the key is not accepted. Look at `key` and `secret`, and whether the key was revoked. If they are right, the "
    "host takes the header Authorization away: write `send: query` in `access:`",
    403: "the key may not do this, or a firewall of the shop is in the way: give the key the permission Read/Write, "
    "and make it for a shop manager",
    404: "there is no API at this address. Is the address right, is WooCommerce active, and are the permalinks another "
    "kind than Plain?",
}


class Listing(NamedTuple):
    """One page of a list. pages, total: how many there are in all, as the answer says."""

    items: Sequence[msgspec.Raw]
    pages: int
    total: int


@dataclass(slots=True, kw_only=True)
class Asking:
    """One errand's talk with one shop. dated: when the last answer was made, by the shop's clock."""

    shop: str
    access: Access
    dated: str = ""

    @property
    def base(self) -> str:
        return f"{self.access.url or f'https://{self.shop}'}/wp-json/wc/v3"

    @property
    def clock(self) -> datetime | None:
        """The shop's clock when it answered last. None: it did not say."""
        try:
            theirs = parsedate_to_datetime(self.dated)
        except ValueError:
            return None
        return theirs if theirs.tzinfo is not None else None

    def page(self, resource: str, number: int, **asked: str) -> Errand[Listing]:
        """One page of a resource, counted from 1."""
        if number > 1:
            yield Wait(span=_BETWEEN_PAGES, because="the shop serves its buyers too")
        query = urlencode({**asked, "per_page": str(_PER_PAGE), "page": str(number)})
        response = yield from self.asked("GET", f"{resource}?{query}")
        try:
            items = decoded(_list, response.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ErrandFailed(f"shop {self.shop}: {_NO_LIST}") from None
        pages, total = (_count(response.headers.get(f"x-wp-{name}", "")) for name in ("totalpages", "total"))
        if pages is None or total is None:
            raise ErrandFailed(
                f"shop {self.shop}: the answer has no X-WP-Total and X-WP-TotalPages: a proxy or a cache of the shop "
                "takes them away, and without them nobody knows how many pages there are"
            )
        return Listing(items, pages, total)

    def asked(
        self, method: Literal["GET", "POST", "PUT", "DELETE"], path: str, document: Json = None
    ) -> Errand[Response]:
        """An answer of 2xx. Raises ErrandFailed. A request that makes something is not repeated after silence."""
        request, may_repeat = self._request(method, path, document), method != "POST"
        for attempt in range(_TRIES):
            try:
                response: Response = yield request
            except NoAnswer:
                if not may_repeat or attempt + 1 == _TRIES:
                    raise
                yield Wait(span=_backoff(attempt), because="no answer")
                continue
            self.dated = response.headers.get("date", "")
            because = _transient(response.status, may_repeat=may_repeat)
            if not because:
                return self._accepted(response)
            yield Wait(span=self._retry_after(response) or _backoff(attempt), because=because)
        raise ErrandFailed(f"shop {self.shop}: it answered {response.status} {_TRIES} times running; try again later")

    def _request(self, method: Literal["GET", "POST", "PUT", "DELETE"], path: str, document: Json) -> Request:
        key, secret = self.access.key.reveal(), self.access.secret.reveal()
        headers = {} if document is None else {"Content-Type": "application/json"}
        is_header = self.access.send == "header"
        if is_header:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode("ascii")
        return Request(
            method=method,
            url=f"{self.base}/{path}",
            headers=headers,
            body=None if document is None else msgspec.json.encode(document),
            repeatable=method != "POST",
            longest=_LONGEST_ANSWER,
            secret_query={} if is_header else {"consumer_key": key, "consumer_secret": secret},
        )

    def _accepted(self, response: Response) -> Response:
        status = response.status
        if status // 100 == 2:  # noqa: PLR2004
            if not response.is_whole:
                raise ErrandFailed(f"shop {self.shop}: the answer is larger than {_LONGEST_ANSWER >> 20} MiB")
            return response
        if status // 100 == 3:  # noqa: PLR2004
            to = urlsplit(response.headers.get("location", ""))
            raise ErrandFailed(
                f"shop {self.shop}: {status}: the site redirects to {to.scheme}://{to.hostname}: name that address. "
                "The key is not sent to an address that is not configured"
            )
        said = _code(response)
        why = _REFUSALS.get(status, "the shop refuses this request")
        raise ErrandFailed(f"shop {self.shop}: {status}{f' ({said})' if said else ''}: {why}")

    def _retry_after(self, response: Response) -> timedelta | None:
        """The span of Retry-After, in seconds or until a date, at most two minutes."""
        text = response.headers.get("retry-after", "")
        if re.fullmatch(r"\d{1,6}", text):
            return min(timedelta(seconds=int(text)), _LONGEST_WAIT)
        try:
            until, theirs = parsedate_to_datetime(text), self.clock
        except ValueError:
            return None
        if theirs is None or until.tzinfo is None:
            return None
        return min(max(until - theirs, _ONE_SECOND), _LONGEST_WAIT)


_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Error(msgspec.Struct):
    code: str = ""


_error: Final = msgspec.json.Decoder(_Error).decode


def _code(response: Response) -> str:
    """WooCommerce's own code of a refusal, such as woocommerce_rest_cannot_view; never its text."""
    try:
        said = _error(response.body).code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return said if re.fullmatch(r"[a-z0-9_-]{1,80}", said) else ""


def _transient(status: int, *, may_repeat: bool) -> str:
    """Why an answer is worth another try; empty: it is final."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "throttled"
    return f"answered {status}" if status >= HTTPStatus.INTERNAL_SERVER_ERROR and may_repeat else ""


def _backoff(attempt: int) -> timedelta:
    return _ONE_SECOND * (1 << attempt)


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None
