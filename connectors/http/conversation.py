"""One event told to the API: its request gets a token and a signature, and is sent."""

from collections.abc import Generator
from dataclasses import dataclass

import msgspec

from bridge.contract import Attempt, Conversation, Event, Reason, Rejected, Request, Response
from connectors.http.answers import Answers
from connectors.http.authentication import Authentication
from connectors.http.oauth2 import NoToken
from connectors.http.requests import Requests
from connectors.http.template import Unfilled

_UNAUTHORIZED = 401  # status


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One conversation."""

    requests: Requests
    answers: Answers
    authentication: Authentication
    event: Event
    attempt: Attempt

    def run(self) -> Conversation:
        try:
            request = self.requests.of(self.event, self.attempt.key)
            response = yield from self._sent(request)
        except Unfilled as problem:
            return Rejected(Reason.RULE_FAILED, str(problem))
        except NoToken as missing:
            return missing.outcome
        return self.answers.outcome(response, request.method, self.attempt.now, repeatable=request.repeatable)

    def _sent(self, request: Request) -> Generator[Request, Response, Response]:
        """Send a request with a token and a signature. A token that is refused is renewed once."""
        client = self.authentication.oauth2
        if client is None:
            return (yield self._signed(request))
        token = yield from client.token(self.attempt.now)
        response = yield self._signed(_with_token(request, token))
        if response.status != _UNAUTHORIZED:
            return response
        another = yield from client.token(self.attempt.now, refused=token)
        return response if another == token else (yield self._signed(_with_token(request, another)))

    def _signed(self, request: Request) -> Request:
        if (signing := self.authentication.sign) is None:
            return request
        headers = {**request.headers, **signing.headers_for(request, self.attempt.now)}
        return msgspec.structs.replace(request, headers=headers)


def _with_token(request: Request, token: str) -> Request:
    return msgspec.structs.replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})
