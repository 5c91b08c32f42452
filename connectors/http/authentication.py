"""How requests say whose they are: in the usual ways, by a token of OAuth2, or by a signature."""

from collections.abc import Collection

from bridge.credentials import Credentials
from connectors.http.oauth2 import OAuth2
from connectors.http.signing import Signing


class Authentication(Credentials):
    """How requests say whose they are, in one way: `bearer`, `oauth2`, or `header`, `basic` or `query` with `secret`.
    `sign` may stand alone or beside it."""

    oauth2: OAuth2 | None = None
    """Client credentials of OAuth2, by which a token is asked for."""
    sign: Signing | None = None
    """Signature of each request."""

    def _is_enough(self, ways: int) -> bool:
        ways += self.oauth2 is not None
        return ways == 1 or (ways == 0 and self.sign is not None)

    def _ways(self) -> str:
        return "`bearer:`, `header:`, `basic:`, `query:`, `oauth2:` or `sign:`"

    def names(self) -> Collection[str]:
        """The names of all headers that it adds, now or when a request is sent."""
        by_token = ["Authorization"] if self.oauth2 is not None else []
        return [*self.headers(), *by_token, *([] if self.sign is None else self.sign.names())]
