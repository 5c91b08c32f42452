"""One fact told to the API: whose it is first, then which visit it belongs to, then the event.

    find or create the profile  ->  attach the session to it  ->  the event with both
                                    not known yet: wait, for session_patience
                                    not known for good, or another's  ->  the event with the profile only
    no e-mail and no phone  ->  the event with the session only
    no session either       ->  skipped

Every request before the event is repeatable and shared by all facts of the same person. The number of requests is
bounded: a profile is asked for anew once at most, and each other step happens once per profile.
"""

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from bridge.contract import (
    Attempt,
    Conversation,
    Delivered,
    Event,
    Json,
    Outcome,
    Reason,
    Rejected,
    Request,
    Response,
    Retry,
    Skipped,
)
from connectors.hellotext.answers import EVENT, PROFILE, SESSION, Answers, named
from connectors.hellotext.api import Api, has_contact, usable_session
from connectors.hellotext.bodies import identity

Found: TypeAlias = Generator[Request, Response, str | Outcome]
"""A generator that ends with the id of a profile, or with the outcome that ends the conversation."""

MOST_REQUESTS = 7
"""The most requests: profile, session, event; the profile anew, its session, its event; the event once more, without
the session."""


@dataclass(slots=True, kw_only=True)
class Talk:
    """One conversation, and what it has learned on its way."""

    api: Api
    answers: Answers
    event: Event
    attempt: Attempt
    patience: timedelta
    actions: Collection[str]
    any_refusal_is_a_conflict: bool = False
    may_ask_anew: bool = False
    left_out: str = ""

    def run(self) -> Conversation:
        give = self.event.give
        if fault := _fault(give, self.actions):
            return Rejected(Reason.RULE_FAILED, fault)
        session = usable_session(give.get("session"))
        profile: str | Outcome = str(give.get("profile") or "")
        self.may_ask_anew = has_contact(give.get("person"))
        if not profile and self.may_ask_anew:
            profile = yield from self._find()
        if not isinstance(profile, str):
            return profile
        if profile:
            return (yield from self._with_profile(profile, session))
        if session is None:
            return Skipped(Reason.NO_IDENTITY, "no e-mail, no phone, no session")
        return (yield from self._with_session_only(session))

    def _find(self, *, anew: bool = False) -> Found:
        """Find the id of the person's profile. It is asked for anew if what was remembered is of no use."""
        self.may_ask_anew = self.may_ask_anew and not anew
        response = yield self.api.find_profile(self.event.give["person"], anew=anew)
        if self.answers.is_yes(response, PROFILE) and (profile := identity(response)) is not None:
            return profile
        return self.answers.outcome(response, PROFILE, self.attempt, repeatable=True)

    def _with_profile(self, profile: str, session: str | None) -> Conversation:
        if session is not None:
            attached = yield from self._attach(session, profile)
            if not isinstance(attached, frozenset):
                return attached
            if "profile" in attached:
                return (yield from self._asked_anew(profile, session))
            if attached or not self.api.contract.takes_both:
                session = None
        response = yield self.api.record(self.event, profile, session)
        about = self._about(response, session)
        if "profile" in about and self.may_ask_anew:
            return (yield from self._asked_anew(profile, session))
        if about and session is not None:
            self.left_out = ", session refused"
            response = yield self.api.record(self.event, profile, None)
            session = None
        return self._end(response, profile, session)

    def _about(self, response: Response, session: str | None) -> frozenset[str]:
        """What a refusal of the event is about (profile, session or both), as far as it is said or can be guessed."""
        if not self.answers.is_no(response, EVENT):
            return frozenset()
        guessed = frozenset(("session",)) if self.any_refusal_is_a_conflict and session is not None else frozenset()
        return named(response) or guessed

    def _attach(self, session: str, profile: str) -> Generator[Request, Response, frozenset[str] | Outcome]:
        """What the API does not know of the two, so that nothing means attached; or an outcome that ends it all.

        A 200 does not tell whether the session changed its owner: the event will.
        """
        response = yield self.api.attach(session, profile)
        if self.answers.is_yes(response, SESSION):
            return frozenset()
        if not self.answers.is_no(response, SESSION):
            return self.answers.outcome(response, SESSION, self.attempt, repeatable=True)
        if "profile" in named(response) and self.may_ask_anew:
            return frozenset(("profile",))
        if response.status == 404 and self._is_patient():  # noqa: PLR2004
            return Retry(Reason.SESSION_UNKNOWN, f"{SESSION.what}: 404")
        self.left_out = ", session unknown" if response.status == 404 else ", session refused"  # noqa: PLR2004
        return frozenset(("session",))

    def _asked_anew(self, stale: str, session: str | None) -> Conversation:
        """Ask again who the person is: the API does not know the profile, or says that the session is another's."""
        profile = yield from self._find(anew=True)
        if not isinstance(profile, str):
            return profile
        if profile == stale and session is not None:
            self.left_out, session = ", session refused", None
        return (yield from self._with_profile(profile, session))

    def _with_session_only(self, session: str) -> Conversation:
        """Send the event with the session only: nobody but the visitor is known. The API keeps no two such events
        apart, so silence is uncertain."""
        response = yield self.api.record(self.event, None, session)
        is_unknown = self.answers.is_no(response, EVENT) and "session" in named(response)
        if is_unknown and self._is_patient():
            return Retry(Reason.SESSION_UNKNOWN, f"{EVENT.what}: {response.status}")
        return self._end(response, None, session)

    def _end(self, response: Response, profile: str | None, session: str | None) -> Outcome:
        if self.answers.is_yes(response, EVENT):
            both = "profile+session" if session else "profile"
            return Delivered(f"{response.status} {both if profile else 'session'}{self.left_out}")
        repeatable = self.api.is_kept_once(self.event, profile)
        return self.answers.outcome(response, EVENT, self.attempt, repeatable=repeatable)

    def _is_patient(self) -> bool:
        return self.attempt.now - self.attempt.first_tried_at < self.patience


def _fault(give: Mapping[str, Json], actions: Collection[str]) -> str:
    """The reason why this event cannot be sent at all, so that nothing half-right leaves. Empty if it can."""
    if not isinstance(give.get("action"), str):
        return "action is not text"
    if give["action"] not in actions:
        return "action is none that may be sent: it is neither built in nor named in the setting actions"
    if ("amount" in give) != ("currency" in give):
        return "amount and currency belong together: give both or neither"
    if "object" in give and "object_parameters" in give:
        return "give object or object_parameters, not both"
    amount = give.get("amount")
    if isinstance(amount, Decimal) and not amount.is_finite():
        return "amount is not a number"
    return ""
