"""Hellotext: attribution events out. README.md beside this says what it asks and how it is answered. Nothing here does
I/O."""

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from bridge.contract import Attempt, Conversation, Event, EventShape, Fields, Request, Response
from bridge.errand import Errand
from bridge.setting_types import Duration, Secret
from bridge.status_table import Fate
from connectors.hellotext.actions import BUILT_IN, CONSENT, GENERATED
from connectors.hellotext.answers import Answers
from connectors.hellotext.api import Api
from connectors.hellotext.contracts import CONTRACTS
from connectors.hellotext.conversation import Talk
from connectors.hellotext.listed_orders import Listing, reference_of

Status = Annotated[
    int, BeforeValidator(lambda given: int(given) if str(given).isdecimal() else given), Field(ge=200, le=599)
]
_CUSTOM_ACTION = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_FIELDS: Fields = {
    "action": "text",
    "person": {"email": "text", "phone": "text", "first_name": "text", "last_name": "text", "reference": "text"},
    "profile": "text",
    "session": "text",
    "object": "text",
    "object_parameters": "any",
    "object_type": "text",
    "amount": "money",
    "currency": "text",
    "metadata": "any",
    "url": "text",
}


class Hellotext(BaseModel):
    """One business at the attribution API."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    token: Secret
    """Private token of the business."""
    url: str = "https://api.hellotext.com"
    """Address of the API. Plain http is taken on this machine only."""
    actions: list[str] = Field(default_factory=list)
    """Custom actions that rules may send, and the consent actions `subscribed` and `unsubscribed`, which are off unless
    named here."""
    session_patience: Duration = timedelta(minutes=10)
    """Time that an event waits for a session that the API does not know yet. Then it is sent with the profile only."""
    profile_ttl: Duration = timedelta(hours=24)
    """Time that the id of a person's profile, and an attached session, are remembered."""
    profile_fields: Literal["brackets", "plain"] = "brackets"
    """Names of a profile's fields: `email[primary]` as documented, or plain `email`."""
    contract: Literal["current", "legacy"] = "current"
    """Form of the API: `legacy` as it was first documented."""
    session_conflict: Literal["named", "any"] = "named"
    """Refusals of an event with profile and session after which it is tried without the session: those that name one of
    the two, or any."""
    repeat_orders: bool = True
    """Whether an `order.*` event with a profile is sent again after silence. The API keeps one for each order and
    action; with `contract: legacy` it is never sent again."""
    answers: dict[Status, Annotated[Fate, Field(strict=False)]] = Field(default_factory=dict)
    """Statuses that mean something else at your account: `{402: dead}`. A 2xx that is named here is taken whatever its
    body says, except for a page in HTML."""

    @field_validator("token")
    @classmethod
    def _can_travel(cls, token: Secret) -> Secret:
        if not re.fullmatch(r"[!-~]+", token.reveal()):
            raise PydanticCustomError("token", "the token holds a space or a character that no header can carry")
        return token

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if problem := _complaint(url):
            raise PydanticCustomError("url", "{problem}", {"problem": problem})
        return url.rstrip("/")

    @field_validator("actions")
    @classmethod
    def _are_names(cls, actions: list[str]) -> list[str]:
        for name in actions:
            if problem := _action_complaint(name):
                raise PydanticCustomError("action", "{problem}", {"problem": problem})
        return actions

    def shape(self) -> EventShape:
        return EventShape(
            fields=_FIELDS,
            required=frozenset(("action",)),
            one_of=(frozenset(("person", "profile", "session")),),
            at_most_one=(frozenset(("object", "object_parameters")),),
            name="action",
            choices={"action": self._sendable},
            settings={"action": "actions"},
            worth=("amount", "currency"),
        )

    def converse(self, event: Event, attempt: Attempt) -> Conversation:
        talk = Talk(
            api=self._api,
            answers=self._answers,
            event=event,
            attempt=attempt,
            patience=self.session_patience,
            actions=self._sendable,
            any_refusal_is_a_conflict=self.session_conflict == "any",
        )
        return talk.run()

    def probe(self) -> Request:
        return self._api.list_profiles()

    def is_answer(self, response: Response) -> bool:
        return self._answers.is_answer(response)

    def reference_of(self, event: Event) -> str | None:
        return reference_of(event)

    def missing(self, references: Collection[str]) -> Errand[Collection[str]]:
        return Listing(url=self.url, headers=self._headers(), answers=self._answers).missing(references)

    @cached_property
    def _api(self) -> Api:
        return Api(
            url=self.url,
            headers=self._headers(),
            key=hashlib.sha256(self.token.reveal().encode()).digest(),
            profile_fields=self.profile_fields,
            ttl=self.profile_ttl,
            contract=CONTRACTS[self.contract],
            repeat_orders=self.repeat_orders and CONTRACTS[self.contract].keeps_orders_once,
            answers=self._answers,
        )

    @cached_property
    def _sendable(self) -> frozenset[str]:
        return BUILT_IN | frozenset(self.actions)

    @cached_property
    def _answers(self) -> Answers:
        return Answers.changed(self.answers)

    def _headers(self) -> Mapping[str, str]:
        return {
            "Authorization": f"Bearer {self.token.reveal()}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }


CONNECTOR = Hellotext


def _complaint(url: str) -> str:
    """Describe what is wrong with the API's address, and what to write instead. Empty if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        return "write the API's address as https://HOST"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "the API's address takes no password, no ? and no #"
    if parts.scheme == "http" and not _is_loopback(host):
        return f"the token would travel in the clear: write https://{host} (http is for this machine only)"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _action_complaint(name: str) -> str:
    if name in GENERATED:
        return f"{name} is made by Hellotext itself and must not be sent"
    if name in BUILT_IN:
        return f"{name} is built in: it need not be named here"
    if name not in CONSENT and not _CUSTOM_ACTION.fullmatch(name):
        return f"{name!r} is not the name of a custom action: they are written object.verb, in lower case"
    return ""
