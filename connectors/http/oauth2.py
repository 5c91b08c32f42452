"""OAuth2 client credentials (RFC 6749, 4.4): a token that is asked for, kept in memory, and renewed before it ends."""

import base64
import re
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from bridge.contract import Json, Outcome, Paused, Reason, Request, Response, Share
from bridge.credentials import address_complaint
from bridge.setting_types import Duration, Secret
from bridge.signatures import name_of
from bridge.status_table import Fate, Row, judged, statuses
from connectors.http.bodies import document
from connectors.http.waiting import asked_wait

_KEPT_FOR: Final = timedelta(days=90)
_ROWS: Final[Mapping[int, Row]] = statuses({status: Fate.PAUSED for status in range(400, 500)
                                            if status not in (408, 425, 429)})  # fmt: skip
"""The meaning of answers of the token endpoint: a refusal is of all that we send, not of one fact."""
_TOKEN: Final = re.compile(r"[!-~]{1,16384}")
_SHADOW: Final = Response(status=200, body=b'{"access_token":"shadow","token_type":"Bearer","expires_in":3600}')


class NoToken(Exception):
    """A token cannot be had. The fact ends with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


_RENEW_AT: Final = ":renew-at"
"""The name under which an answer that is remembered says when the token must be renewed, in seconds since 1970. No
answer that comes from outside can have such a header."""


class OAuth2(BaseModel):
    """A client that asks a token endpoint for the token of its requests (client credentials)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    token_url: str
    """Address of the token endpoint. Plain http is taken on this machine only."""
    client_id: str = Field(min_length=1)
    """Id of the client."""
    client_secret: Secret
    """Secret of the client."""
    scope: str | None = None
    """Scopes that are asked for, with blanks between them."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """Further parameters that the endpoint wants, such as `audience`."""
    credentials: Literal["header", "body"] = "header"
    """Place of id and secret: HTTP Basic, or the body."""
    lifetime: Duration = timedelta(minutes=5)
    """Time for which a token is used whose answer has no `expires_in`."""
    renew_before: Duration = timedelta(seconds=60)
    """Time before its end at which a token is renewed; half of its life at the most."""

    @field_validator("token_url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if problem := address_complaint(url):
            raise PydanticCustomError("url", "{problem}", {"problem": problem})
        return url

    def token(self, now: datetime, refused: str = "") -> Generator[Request, Response, str]:
        """A token. refused: one that is of no use any more. Raises NoToken."""
        response = yield self._request(now, fresh=False)
        token, renew_at = self._read(response, now)
        if token == refused or (renew_at and now.timestamp() >= renew_at):
            response = yield self._request(now, fresh=True)
            token, _ = self._read(response, now)
        return token

    def _request(self, now: datetime, *, fresh: bool) -> Request:
        form = {"grant_type": "client_credentials", **({} if self.scope is None else {"scope": self.scope})}
        form |= self.parameters
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        secret = self.client_secret.reveal()
        if self.credentials == "body":
            form |= {"client_id": self.client_id, "client_secret": secret}
        else:
            pair = f"{quote(self.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"

        def keep(response: Response) -> Response | None:
            try:
                token, _ = self._read(response, now)
            except NoToken:
                return None
            return Response(
                status=200, headers={_RENEW_AT: f"{self._renew_at(response, now)}"}, body=token.encode("ascii")
            )

        named = (self.token_url, self.client_id, self.scope or "", *(f"{k}={v}" for k, v in self.parameters.items()))
        return Request(
            method="POST",
            url=self.token_url,
            headers=headers,
            body=urlencode(form).encode("ascii"),
            repeatable=True,
            share=Share(key=f"token:{name_of(*named)}", ttl=_KEPT_FOR, keep=keep, fresh=fresh),
            shadow=_SHADOW,
            is_body_secret=self.credentials == "body",
        )

    def _read(self, response: Response, now: datetime) -> tuple[str, float]:
        """The token of an answer, and when what was remembered must be renewed: 0 if it came from the endpoint just
        now. Raises NoToken."""
        if (renew_at := response.headers.get(_RENEW_AT)) is not None:
            return response.body.decode("ascii"), float(renew_at)
        row = _ROWS.get(response.status)
        if row is None or not row.is_yes:
            raise NoToken(self._no_token(row, response, now))
        told = document(response)
        token = told.get("access_token") if isinstance(told, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or not _is_bearer(told):
            raise NoToken(Paused(Reason.NOT_UNDERSTOOD, f"token: {response.status} without a bearer's token: is "
                                 "`token_url` right?"))  # fmt: skip
        return token, 0

    def _no_token(self, row: Row | None, response: Response, now: datetime) -> Outcome:
        detail = f"token: {response.status}"
        if row is None:
            return Paused(Reason.NOT_UNDERSTOOD, detail)
        return judged(row, detail, repeatable=True, after=asked_wait(response, None, now))

    def _renew_at(self, response: Response, now: datetime) -> float:
        life = _seconds(document(response).get("expires_in"))
        life = self.lifetime.total_seconds() if life is None else life
        return now.timestamp() + life - min(self.renew_before.total_seconds(), life / 2)


def _is_bearer(told: Mapping[str, Json]) -> bool:
    kind = told.get("token_type")
    return kind is None or (isinstance(kind, str) and kind.lower() == "bearer")


def _seconds(told: Json) -> float | None:
    """A number of seconds, at most 90 days. None: it is none."""
    text = str(told)
    return min(float(text), _KEPT_FOR.total_seconds()) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) else None
