"""The ready queue of one destination: claimed orders that may go next, and which of them tells most while it is paused.

A pause is about everything only if facts of other rules are refused too. So the queue is searched for facts of rules
that were not denied. Each such rule is tried once, at once. If there is none, the probe is a fact of the rule that was
denied the longest ago. Orders that were searched in vain go behind those that nobody has looked at, when there are too
many to keep.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from bridge.journal import Claim

_MOST = 1000
"""The most orders that are looked through for one probe."""
_MOST_IN_A_PAUSE = 20_000  # orders
_BYTES = 16 * 1024 * 1024  # bytes
_IN_A_ROW = 50  # orders between two turns of the event loop
_NEVER = -math.inf


class SendQueue:
    """Claimed orders that may go next. first_rule: the rule of the first fact that would be sent of an order. None:
    nothing would be sent, or it is costly to know."""

    def __init__(self, first_rule: Callable[[Claim], str | None]) -> None:
        self._first_rule = first_rule
        self._firsts: dict[int, str | None] = {}
        self._tried: set[str | None] = set()
        self._stepped = 0
        self.claims: deque[Claim] = deque()

    def __len__(self) -> int:
        return len(self.claims)

    @property
    def is_full(self) -> bool:
        """Whether no more orders are looked at for one probe."""
        return len(self.claims) >= _MOST or sum(len(claim.envelope.raw) for claim in self.claims) > _BYTES

    def resume(self) -> None:
        """End the pause: all claims go as they come."""
        self._firsts.clear()
        self._tried.clear()
        self._stepped = 0

    async def put_first(self, denied: Mapping[str, float], further: Callable[[], Awaitable[bool]]) -> bool:
        """Put the claim first that tells most. True: it is the first of its rule in this pause. further: claims
        more."""
        best, number = (math.inf, 0), 0
        while best[0] != _NEVER and number < _MOST and (number < len(self.claims) or await further()):
            best = min(best, (self._rank(self.claims[number], denied), number))
            number += 1
            if number % _IN_A_ROW == 0:
                await asyncio.sleep(0)
        if not self.claims:
            return False
        claim = self.claims[best[1]]
        del self.claims[best[1]]
        self.claims.appendleft(claim)
        return best[0] == _NEVER

    def try_first(self) -> None:
        """Let the first claim go now, before the pause has ended. The next claim of its rule waits for the probe."""
        self._tried.add(self._firsts[self.claims[0].seq])

    def cut(self) -> Sequence[Claim]:
        """Take out all claims but the first, if more cannot be looked at. In a pause this ends after a while: each
        claim that steps back is written to the journal."""
        if not self.is_full or self._stepped >= _MOST_IN_A_PAUSE:
            return ()
        first, *claims = self.claims
        self.claims = deque([first])
        self._firsts.clear()
        self._stepped += len(claims)
        return claims

    def taken_out(self, which: Collection[tuple[int, int]]) -> Sequence[Claim]:
        """Take the claims of these lanes and numbers out of the queue, and return them."""
        found = [claim for claim in self.claims if (claim.lane, claim.number) in which]
        self.claims = deque(claim for claim in self.claims if (claim.lane, claim.number) not in which)
        return found

    def _rank(self, claim: Claim, denied: Mapping[str, float]) -> float:
        """The time at which the rule of the claim's first fact was denied. What was tried in this pause comes after
        what was not."""
        if claim.seq not in self._firsts:
            self._firsts[claim.seq] = self._first_rule(claim)
        rule = self._firsts[claim.seq]
        if rule is None:
            return math.inf
        return denied.get(rule, 0.0 if rule in self._tried else _NEVER)
