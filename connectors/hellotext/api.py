"""The requests of each call of the API. Nothing here knows what comes back."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec

from bridge.contract import Event, Json, Request, Response, Share
from connectors.hellotext.answers import PROFILE, SESSION, Answers, Asked
from connectors.hellotext.bodies import identified
from connectors.hellotext.contracts import Contract

_encode = msgspec.json.Encoder(decimal_format="number").encode
_FOUND = Response(status=201, body=b'{"id":"shadow","type":"profile"}')
_ATTACHED = Response(status=200, body=b'{"id":"shadow","type":"session","profile":1}')
_RECEIVED = Response(status=200, body=b'{"status":"received"}')

_LONGEST_OBJECT = 1024 * 1024
"""The most bytes that are read of a profile or a session, with all its properties."""
_PROFILE_KEYS: Mapping[str, Mapping[str, str]] = {
    "brackets": {"email": "email[primary]", "phone": "phone[mobile]"},
    "plain": {},
}
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~:=+-]{0,127}")
"""A session that may stand in a path as it is."""
_NO_SESSION = frozenset(("undefined", "null", "none", "nil"))


def usable_session(given: Json) -> str | None:
    """A session, or None: a browser's cookie can hold `undefined` or `null`, and an order's attribute anything."""
    text = given.strip() if isinstance(given, str) else ""
    return text if _SESSION.fullmatch(text) and text.casefold() not in _NO_SESSION else None


def has_contact(person: Json) -> bool:
    """Whether a profile can be found: it needs an e-mail address or a phone number. A name or a reference finds
    nobody."""
    return isinstance(person, Mapping) and bool(person.get("email") or person.get("phone"))


@dataclass(frozen=True, slots=True)
class _Kept:
    """The part of an answer that is remembered, if it is a yes. A refusal may name an id too."""

    answers: Answers
    asked: Asked

    def __call__(self, response: Response) -> Response | None:
        return identified(response) if self.answers.is_yes(response, self.asked) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The address of the API, and the requests that it takes.

    key            keys the hashes by which requests are shared, so that they tell nothing of a person
    repeat_orders  an order's event is kept once by the API and may be repeated
    """

    url: str
    headers: Mapping[str, str]
    key: bytes
    profile_fields: Literal["brackets", "plain"]
    ttl: timedelta
    contract: Contract
    repeat_orders: bool
    answers: Answers

    def find_profile(self, person: Mapping[str, Json], *, anew: bool = False) -> Request:
        """Find the profile by e-mail or phone, or create it. A second request finds the profile of the first.

        anew: what is remembered of it is of no use.
        """
        keys = _PROFILE_KEYS[self.profile_fields]
        key = self._hash("profile", str(person.get("email") or "").strip().lower(), str(person.get("phone") or ""))
        return Request(
            method="POST",
            url=f"{self.url}/v1/profiles",
            headers=self.headers,
            body=_encode({keys.get(name, name): value for name, value in person.items() if value}),
            repeatable=True,
            share=Share(key=key, ttl=self.ttl, keep=_Kept(self.answers, PROFILE), fresh=anew),
            longest=_LONGEST_OBJECT,
            shadow=_FOUND,
        )

    def attach(self, session: str, profile: str) -> Request:
        """Attach the session to a profile. Doing it again is harmless."""
        method, body = self.contract.attach(profile)
        return Request(
            method=method,
            url=f"{self.url}/v1/sessions/{session}",
            headers=self.headers,
            body=_encode(body),
            repeatable=True,
            share=Share(key=self._hash("session", session, profile), ttl=self.ttl, keep=_Kept(self.answers, SESSION)),
            longest=_LONGEST_OBJECT,
            shadow=_ATTACHED,
        )

    def record(self, event: Event, profile: str | None, session: str | None) -> Request:
        """Record the event. If the API knows whose it is, it keeps one for each order and action: then the request is
        repeatable."""
        body = self.contract.event(event.give, profile, session)
        body["tracked_at"] = int(event.at.timestamp())
        return Request(
            method="POST",
            url=f"{self.url}/v1/attribution/events",
            headers=self.headers,
            body=_encode(body),
            repeatable=self.is_kept_once(event, profile),
            shadow=_RECEIVED,
        )

    def is_kept_once(self, event: Event, profile: str | None) -> bool:
        """Whether the API keeps the event once: only if order and profile are named (docs/contracts/hellotext.md 3.5
        and 3.6)."""
        give = event.give
        is_named = profile is not None and ("object" in give or "object_parameters" in give)
        return self.repeat_orders and is_named and str(give.get("action")).startswith("order.")

    def list_profiles(self) -> Request:
        url = f"{self.url}/v1/profiles?limit=1"
        return Request(method="GET", url=url, headers=self.headers, repeatable=True, longest=_LONGEST_OBJECT)

    def _hash(self, kind: str, *parts: str) -> str:
        digest = hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), key=self.key, digest_size=16)
        return f"{kind}:{digest.hexdigest()}"
