"""Requests before the event: they find what the event must name, or create it, and may be repeated without harm."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.contract import Json, Outcome, Request, Response, Share
from bridge.errors import Malformed
from bridge.setting_types import AnswerValue, Duration, EventCondition, between
from connectors.http.addresses import Headers, Path, Query
from connectors.http.answers import Answers, Meaning, Receipt, Statuses, scope_of
from connectors.http.bodies import document
from connectors.http.requests import Repeatable, Requests, fixed_headers
from connectors.http.template import Filling, Text, Unfilled, places, structure

SHADOW: Final = "shadow"
"""The value that stands for everything that a step would find in shadow mode."""
_FOUND: Final = ":found"
"""The name under which an answer says that it holds what was found: no answer from outside can have such a header."""
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_LONGEST: Final = 1024 * 1024
"""The most bytes that are read of an answer."""


class Step(BaseModel):
    """A request before the event, which may be repeated: it reads, or it creates what a second one finds again."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    when: EventCondition | None = None
    """Condition over `give`, `found`, `fact` and `rule`. If it is not true, the step is left out."""
    method: Literal["GET", "POST", "PUT", "PATCH"] = "GET"
    """Method of the request."""
    path: Path = Field(default_factory=lambda: Text(""))
    """Path behind `url`."""
    query: Query = Field(default_factory=dict)
    """Parameters by name. One whose name ends with `?` is left out where a place of it is empty."""
    headers: Headers = Field(default_factory=dict)
    """Headers by name. One whose name ends with `?` is left out where a place of it is empty."""
    template: dict[str, Any] | list[Any] | None = None
    """Body in JSON, with places. Default: no body."""
    finds: dict[str, AnswerValue] = Field(min_length=1)
    """Values of the answer by name, such as `{person: = answer.id}`, for the places `{found.person}`. If they are all
    known from steps before, the step is left out."""
    missing: list[Annotated[int, Field(ge=400, le=499)]] = [404]
    """Statuses that mean that it is not there: nothing is found, and the next step has its turn."""
    answers: dict[Statuses, Meaning] = Field(default_factory=dict)
    """Meaning of statuses, as for the event."""
    receipt: Receipt = Field(default_factory=Receipt)
    """What an answer with a status of success must hold."""
    key: Text | None = None
    """Text by which the answer is remembered, such as `{give.email}`; empty places are left out. Default: the request
    itself."""
    remember: Annotated[Duration, between("0s", "7d")] = timedelta(minutes=10)
    """Time for which what was found is remembered, in memory. `0s`: it is asked for each event."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Step":
        if self.template is not None:
            if self.method == "GET":
                raise ValueError("a GET has no body: take `template:` away")
            structure(self.template, "template")
        return self

    def places(self) -> Sequence[str]:
        """The names of all its places."""
        texts = [self.path, *self.query.values(), *self.headers.values(), *([] if self.key is None else [self.key])]
        return [name for text in texts for name in text.places] + [*places(self.template)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks the request of a step, and finds values in the answer.

    index    of the step, counted from 0
    secret   keys the hash by which answers are remembered, so that it tells nothing of a person
    """

    step: Step
    index: int
    requests: Requests
    answers: Answers
    secret: bytes

    @classmethod
    def of(cls, step: Step, index: int, by: Mapping[str, str], common: Mapping[str, Any]) -> "Asker":
        """The asker of a step. by: the headers that authenticate. common: what all requests have."""
        body: Literal["json", "none"] = "none" if step.template is None else "json"
        requests = Requests(
            method=step.method,
            path=step.path,
            query=step.query,
            headers=step.headers,
            fixed=fixed_headers(body, by, [name.removesuffix("?").lower() for name in step.headers]),
            body=body,
            content=None if step.template is None else structure(step.template, "template"),
            idempotency_key="",
            repeatable=Repeatable.always(value=True),
            shadow=Response(status=200),
            **common,
        )
        secret = hashlib.sha256(repr(sorted({**by, **common["secret_query"]}.items())).encode()).digest()
        answers = Answers.changed(step.answers, step.receipt)
        return cls(step=step, index=index, requests=requests, answers=answers, secret=secret)

    def is_left_out(self, filling: Filling) -> bool:
        """Whether this event does without it. Raises Unfilled if its condition cannot be calculated."""
        if all(filling.found.get(name) is not None for name in self.step.finds):
            return True
        if self.step.when is None:
            return False
        try:
            return not self.step.when(filling.scope())
        except Malformed as problem:
            raise Unfilled(f"steps[{self.index}].when: {problem}") from None

    def request(self, filling: Filling, *, fresh: bool) -> Request:
        """The request of an event. fresh: what is remembered is of no use. Raises Unfilled."""
        try:
            request = self.requests.of(filling)
            named = None if self.step.key is None else self.step.key.name(filling)
        except Unfilled as problem:
            raise Unfilled(f"steps[{self.index}]: {problem}") from None
        share = None
        if self.step.remember:
            share = Share(key=self._key(request, named), ttl=self.step.remember, keep=self._keep, fresh=fresh)
        return msgspec.structs.replace(request, share=share, longest=_LONGEST)

    def found(self, response: Response, now: datetime) -> Mapping[str, Json] | Outcome:
        """The values that an answer has, or the outcome that ends the conversation."""
        found = self._found(response)
        if found is not None:
            return found
        return self.answers.outcome(response, f"steps[{self.index}]: {self.step.method}", now, repeatable=True)

    def _found(self, response: Response) -> Mapping[str, Json] | None:
        """The values that an answer has. None: it is no answer by which to go on."""
        if _FOUND in response.headers:
            kept: Mapping[str, Json] = document(response)
            return kept
        if response is self.requests.shadow:
            return dict.fromkeys(self.step.finds, SHADOW)
        row = self.answers.row(response, self.step.receipt)
        if row.is_no and response.status in self.step.missing:
            return {}
        return self._values(response) if row.is_yes else None

    def _values(self, response: Response) -> Mapping[str, Json] | None:
        scope = scope_of(response)
        try:
            found = {name: value(scope) for name, value in self.step.finds.items()}
        except Malformed:
            return None
        return {name: value for name, value in found.items() if value is not None}

    def _keep(self, response: Response) -> Response | None:
        """What is remembered: the values, if all are there."""
        found = self._found(response)
        if found is None or len(found) < len(self.step.finds):
            return None
        return Response(status=200, headers={_FOUND: ""}, body=_encode(found))

    def _key(self, request: Request, named: str | None) -> str:
        parts = [str(self.index), *([request.method, request.url] if named is None else [named])]
        digest = hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), key=self.secret, digest_size=16)
        if named is None:
            digest.update(repr(sorted(request.headers.items())).encode(errors="surrogatepass") + (request.body or b""))
        return f"step:{digest.hexdigest()}"
