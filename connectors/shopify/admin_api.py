"""The Admin API, asked with patience: tokens, limits and refusals. Pure: it yields what to ask.

See docs/contracts/shopify.md 8.
REST goes through the ShopifyAPI package, which `get` stands for; GraphQL through the bridge's own client, since the
package has no time-out for it and prints the bodies of errors.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from bridge.contract import Json, Request, Response
from bridge.errand import Blocking, Errand, Note, Step, Wait
from bridge.errors import ErrandFailed, NoAnswer
from bridge.surrogates import decoded
from connectors.shopify.access import Access

_TRIES = 6  # tries
_THROTTLED_TRIES = 60  # tries
_LONGEST_WAIT = timedelta(minutes=2)
_LONGEST_ANSWER = 16 * 1024 * 1024  # bytes
_SPARE = 2  # requests that are left to others
_ONE_SECOND = timedelta(seconds=1)
_BUCKET = re.compile(r"(\d{1,6})/(\d{1,6})")
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
_SECONDS = re.compile(r"\d{1,6}(\.\d+)?")
_REFUSALS: Mapping[int, str] = {
    401: "the token is not accepted: it was revoked, has expired, or is another shop's. Make a new one",
    402: "the shop is frozen until its bill is paid",
    403: "the app lacks a scope for this: grant it read_orders (and read_all_orders for more than 60 days)",
    404: "there is no such shop, or this app may not use this API",
    423: "the shop is locked by Shopify",
}


class Answer(NamedTuple):
    """An answer of GraphQL. hidden: paths of fields that this app may not see; they are null in `data`."""

    data: Json
    hidden: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Asking:
    """One errand's talk with one shop.

    get    url and token to the answer, blocking
    dated  when the last answer was made, by Shopify's clock
    """

    shop: str
    access: Access
    base: str
    version: str
    get: Callable[[str, str], Response]
    dated: str = ""
    _token: str = ""
    _noted: set[str] = field(default_factory=set)

    def rest(self, url: str) -> Errand[Response]:
        """Send a GET, only to this shop: the token goes along."""
        if not url.startswith(f"{self.base}/admin/api/"):
            raise ErrandFailed(f"shop {self.shop}: the next page is not at {self.base}; nothing was sent there")
        response = yield from self._asked(lambda token: Blocking(call=lambda: self.get(url, token)), may_repeat=True)
        used = _BUCKET.fullmatch(response.headers.get("x-shopify-shop-api-call-limit", ""))
        if used is not None and int(used[1]) >= int(used[2]) - _SPARE:
            yield Wait(span=_ONE_SECOND, because="the shop's request limit is nearly used up")
        return response

    def graphql(self, query: str, variables: Mapping[str, Json], *, changes: bool = False) -> Errand[Answer]:
        """Get the data of a query. Raises ErrandFailed. A query that changes something is not repeated after
        silence."""
        body = msgspec.json.encode({"query": query, "variables": variables})

        def request(token: str) -> Request:
            return Request(
                method="POST",
                url=f"{self.base}/admin/api/{self.version}/graphql.json",
                headers={"Content-Type": "application/json", "X-Shopify-Access-Token": token},
                body=body,
                repeatable=not changes,
                longest=_LONGEST_ANSWER,
            )

        for _ in range(_THROTTLED_TRIES):
            response = yield from self._asked(request, may_repeat=not changes)
            said = self._decoded(response)
            wait = _throttled(said)
            if wait is None:
                return self._answer(said)
            yield Wait(span=wait, because="the shop's query cost limit is used up")
        raise ErrandFailed(f"shop {self.shop}: throttled {_THROTTLED_TRIES} times running; try again later")

    @property
    def clock(self) -> datetime | None:
        """Shopify's clock when the last answer was made. None: it did not say."""
        try:
            theirs = parsedate_to_datetime(self.dated)
        except ValueError:
            return None
        return theirs if theirs.tzinfo is not None else None

    # -- one request ---------------------------------------------------------------------------------------------------

    def _asked(self, make: Callable[[str], Step], *, may_repeat: bool) -> Errand[Response]:
        renewed = False
        for attempt in range(_TRIES):
            token = yield from self._entered()
            try:
                response: Response = yield make(token)
            except NoAnswer:
                if not may_repeat or attempt + 1 == _TRIES:
                    raise
                yield Wait(span=_backoff(attempt), because="no answer")
                continue
            yield from self._compared(response)
            self.dated = response.headers.get("date", "")
            status = response.status
            if status == HTTPStatus.UNAUTHORIZED and self.access.token is None and not renewed:
                self._token, renewed = "", True
            elif status == HTTPStatus.TOO_MANY_REQUESTS:
                yield Wait(span=retry_after(response) or _backoff(attempt), because="throttled")
            elif status >= HTTPStatus.INTERNAL_SERVER_ERROR and may_repeat:
                yield Wait(span=retry_after(response) or _backoff(attempt), because=f"answered {status}")
            elif status // 100 == 2:  # noqa: PLR2004
                return response
            else:
                raise ErrandFailed(self._refusal(status))
        raise ErrandFailed(f"shop {self.shop}: Shopify answered {status} {_TRIES} times running; try again later")

    def _refusal(self, status: int) -> str:
        return f"shop {self.shop}: {status}: {_REFUSALS.get(status, 'Shopify refuses this request')}"

    def _entered(self) -> Errand[str]:
        """The token. It is asked for if it is granted for a day only."""
        if self.access.token is not None:
            return self.access.token.reveal()
        if not self._token:
            self._token = yield from self._granted()
        return self._token

    def _granted(self) -> Errand[str]:
        secret = self.access.client_secret.reveal() if self.access.client_secret is not None else ""
        grant = {"grant_type": "client_credentials", "client_id": self.access.client_id, "client_secret": secret}
        request = Request(
            method="POST",
            url=f"{self.base}/admin/oauth/access_token",
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(grant),
            repeatable=True,
        )
        for attempt in range(_TRIES):
            try:
                response: Response = yield request
            except NoAnswer:
                if attempt + 1 == _TRIES:
                    raise
            else:
                if response.status // 100 == 2:  # noqa: PLR2004
                    return self._token_in(response)
                if response.status not in (429, *range(500, 600)):
                    raise ErrandFailed(
                        f"shop {self.shop}: {response.status}: no token was granted: look at access.client_id and "
                        "access.client_secret, and whether the app is installed in this shop"
                    )
            yield Wait(span=_backoff(attempt), because="no token yet")
        raise ErrandFailed(f"shop {self.shop}: no token was granted in {_TRIES} tries; try again later")

    def _token_in(self, response: Response) -> str:
        said = self._decoded(response)
        token = said.get("access_token")
        if not isinstance(token, str) or not token:
            raise ErrandFailed(f"shop {self.shop}: the answer to the request for a token has none")
        return token

    def _compared(self, response: Response) -> Errand[None]:
        """Compare the version. A dead version is answered by the oldest living one, which shows in this header only."""
        found = response.headers.get("x-shopify-api-version", self.version)
        if found != self.version and found not in self._noted:
            self._noted.add(found)
            yield Note(text=f"shop {self.shop} answers in API version {found}, not in {self.version}: set version")

    # -- what GraphQL says ---------------------------------------------------------------------------------------------

    def _decoded(self, response: Response) -> Json:
        try:
            said = decoded(msgspec.json.decode, response.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            said = None
        if not isinstance(said, dict):
            raise ErrandFailed(
                f"shop {self.shop}: the answer is not JSON: is something between the bridge and Shopify?"
            )
        return said

    def _answer(self, said: Json) -> Answer:
        errors, data = said.get("errors") or [], said.get("data")
        if isinstance(errors, str):
            raise ErrandFailed(f"shop {self.shop}: Shopify says: {errors[:200]}")
        paths = [error.get("path") or () for error in errors if isinstance(error, dict)]
        if not isinstance(data, dict) or len(paths) < len(errors) or any(len(path) <= 1 for path in paths):
            raise ErrandFailed(f"shop {self.shop}: Shopify says: {_detail(errors)}")
        return Answer(data, frozenset(".".join(map(str, path)) for path in paths))


def next_page(response: Response) -> str | None:
    """The URL of the next page, by the Link header."""
    found = _NEXT.search(response.headers.get("link", ""))
    return found[1] if found else None


def retry_after(response: Response) -> timedelta | None:
    """The span of Retry-After. Shopify writes a decimal number of seconds."""
    text = response.headers.get("retry-after", "")
    return min(timedelta(seconds=float(text)), _LONGEST_WAIT) if _SECONDS.fullmatch(text) else None


def _backoff(attempt: int) -> timedelta:
    return _ONE_SECOND * (1 << attempt)


def _throttled(said: Mapping[str, Json]) -> timedelta | None:
    """The time until there is enough for the query again: by what the answer says, never by a constant."""
    errors = said.get("errors") or []
    if "THROTTLED" not in [_code(error) for error in errors if isinstance(error, dict)]:
        return None
    cost = (said.get("extensions") or {}).get("cost") or {}
    status = cost.get("throttleStatus") or {}
    rate, asked = _number(status.get("restoreRate")), _number(cost.get("requestedQueryCost"))
    missing = asked - _number(status.get("currentlyAvailable"))
    return min(timedelta(seconds=missing / rate), _LONGEST_WAIT) if rate > 0 and missing > 0 else _ONE_SECOND


def _code(error: Mapping[str, Json]) -> str:
    return str((error.get("extensions") or {}).get("code") or "")


def _number(found: Json) -> float:
    return float(found) if isinstance(found, int | float) else 0.0


def _detail(errors: Json) -> str:
    """Describe errors by their codes first: messages may quote what was sent."""
    found = [error for error in errors if isinstance(error, dict)]
    codes = sorted({_code(error) for error in found} - {""})
    return ", ".join(codes) or "; ".join(str(error.get("message"))[:200] for error in found) or "nothing"
