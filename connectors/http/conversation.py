"""One event told to the API: steps find what it must name, and each request gets a token and a signature.

Steps may be repeated, so a conversation that ends between them is begun again from the start. Only the last request is
the event.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bridge.contract import Attempt, Conversation, Event, Json, Outcome, Reason, Rejected, Request, Response, Skipped
from bridge.errors import Malformed
from bridge.setting_types import EventCondition
from connectors.http.answers import Answers
from connectors.http.authentication import Authentication
from connectors.http.oauth2 import NoToken
from connectors.http.requests import Requests
from connectors.http.steps import Asker
from connectors.http.template import Filling, Unfilled

_UNAUTHORIZED = 401  # status


@dataclass(slots=True, kw_only=True)
class Talk:
    """One conversation.

    ask_anew  statuses after which the steps are asked anew, once
    token     of OAuth2; empty: none was asked for yet
    """

    requests: Requests
    answers: Answers
    authentication: Authentication
    steps: Sequence[Asker]
    ask_anew: Collection[int]
    identity: EventCondition | None
    event: Event
    attempt: Attempt
    token: str = ""
    may_renew: bool = True

    def run(self) -> Conversation:
        try:
            return (yield from self._told())
        except Unfilled as problem:
            return Rejected(Reason.RULE_FAILED, str(problem))
        except NoToken as missing:
            return missing.outcome

    def _told(self) -> Conversation:
        filling = yield from self._filled(fresh=False)
        if not isinstance(filling, Filling):
            return filling
        if not self._is_known(filling):
            return Skipped(Reason.NO_IDENTITY, "`identity:` is not true")
        request = self.requests.of(filling)
        response = yield from self._sent(request)
        if response.status in self.ask_anew:
            again = yield from self._filled(fresh=True)
            if not isinstance(again, Filling):
                return again
            if again.found != filling.found:
                request = self.requests.of(again)
                response = yield from self._sent(request)
        return self.answers.outcome(response, request.method, self.attempt.now, repeatable=request.repeatable)

    def _is_known(self, filling: Filling) -> bool:
        """Whether it is known whose the event is."""
        try:
            return self.identity is None or bool(self.identity(filling.scope()))
        except Malformed as problem:
            raise Unfilled(f"identity: {problem}") from None

    def _filled(self, *, fresh: bool) -> Generator[Request, Response, Filling | Outcome]:
        """What fills the places of the event, with what the steps found; or the outcome that ends it all."""
        found: Mapping[str, Json] = {}
        filling = Filling(self.event, self.attempt.key, found)
        for step in self.steps:
            if step.is_left_out(filling):
                continue
            response = yield from self._sent(step.request(filling, fresh=fresh))
            more = step.found(response, self.attempt.now)
            if not isinstance(more, Mapping):
                return more
            found = {**more, **found}
            filling = Filling(self.event, self.attempt.key, found)
        return filling

    def _sent(self, request: Request) -> Generator[Request, Response, Response]:
        """Send a request with a token and a signature. A token that is refused is renewed, once in a conversation."""
        client = self.authentication.oauth2
        if client is None:
            return (yield self._signed(request))
        self.token = self.token or (yield from client.token(self.attempt.now))
        response = yield self._signed(_with_token(request, self.token))
        if response.status != _UNAUTHORIZED or not self.may_renew:
            return response
        self.may_renew, refused = False, self.token
        self.token = yield from client.token(self.attempt.now, refused=refused)
        return response if self.token == refused else (yield self._signed(_with_token(request, self.token)))

    def _signed(self, request: Request) -> Request:
        if (signing := self.authentication.sign) is None:
            return request
        headers = {**request.headers, **signing.headers_for(request, self.attempt.now)}
        return msgspec.structs.replace(request, headers=headers)


def _with_token(request: Request, token: str) -> Request:
    return msgspec.structs.replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})
