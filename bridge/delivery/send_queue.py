"""The ready queue of one destination: claimed orders that may go next, and which of them tells most while it is paused.

A pause is about everything only if facts of other rules are refused too. So one of a rule that was not denied is looked
for among what waits, and each such rule is tried once, at once; else the probe is of the rule that was denied the
longest ago. What was looked through in vain goes behind what nobody has looked at, when it is too much to be kept.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from bridge.journal import Claim

_MOST = 1000
"""Orders that are looked through for one probe."""
_MOST_IN_A_PAUSE = 20_000  # orders
_BYTES = 16 * 1024 * 1024  # bytes
_IN_A_ROW = 50  # orders between two turns of the event loop
_NEVER = -math.inf


class SendQueue:
    """first_rule: of the first fact that would be sent of an order; None: nothing would, or it is costly to know."""

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
        """More is not looked at for one probe."""
        return len(self.claims) >= _MOST or sum(len(claim.envelope.raw) for claim in self.claims) > _BYTES

    def resume(self) -> None:
        """End the pause: all claims go as they come."""
        self._firsts.clear()
        self._tried.clear()
        self._stepped = 0

    async def put_first(self, denied: Mapping[str, float], further: Callable[[], Awaitable[bool]]) -> bool:
        """The one that tells most. True: it is the first of its rule in this pause. further: claims more."""
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
        """All but the first, if more cannot be looked at; they are not here any more. In a pause not without end: each
        that steps back is written down."""
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
