"""One conversation about one fact: what is sent, what is marked before it, and what silence means."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.contract import Attempt, Delivered, Event, Reason, Rejected, Request, Response, Retry, Uncertain
from bridge.delivery.client import Silence
from bridge.delivery.conversation import BeforeSending, Conversation
from bridge.errors import ClaimRevoked
from bridge.generators import MOST_REQUESTS
from bridge.status_table import Silent
from tests.delivery.conftest import route_to

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ATTEMPT = Attempt(now=NOW, first_tried_at=NOW, number=1)
FINE = Response(status=200)
READ = Request(method="GET", url="http://api.example/person", repeatable=True)
SEND = Request(method="POST", url="http://api.example/event", shadow=Response(status=201))
DELIVERED = Delivered()
LOST = Silence(silent=Silent.LOST, detail="connection reset")


class Talk:
    """A destination that asks for these requests, and then says this outcome."""

    def __init__(self, *requests, outcome=DELIVERED):
        self.requests = requests
        self.outcome = outcome
        self.heard = []
        self.is_closed = False

    def converse(self, _event, _attempt):
        try:
            for request in self.requests:
                self.heard.append((yield request))
        except GeneratorExit:
            self.is_closed = True
            raise
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Wire:
    """In place of the client, which has tests of its own: answers in order, and what is asked before each leaves."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    async def send(self, request, *, leaving=None):
        if leaving is not None:
            await leaving()
        self.sent.append(request)
        return self.answers.pop(0)


@pytest.fixture
def talk():
    """Runs a conversation: its outcome, what was sent, how often it was marked."""

    async def run(destination, *answers, revoked=False, resend=False, shadow=False, doubtful=False):
        route, _ = route_to(destination, shadow=shadow)
        event = Event(rule="placed", fact="placed", once="[]", at=NOW, give={}, resend=resend)
        wire, marks = Wire(*answers), []

        async def confirm():
            if revoked:
                raise ClaimRevoked("a person has decided")

        async def mark_departed():
            marks.append(len(wire.sent))

        before = BeforeSending(confirm=confirm, mark_departed=mark_departed)
        conversation = Conversation(route, wire, event, before, doubtful=doubtful)
        try:
            return await conversation.run(ATTEMPT), wire.sent, marks
        finally:
            assert conversation.departed == bool(marks)

    return run


async def test_each_request_is_sent_once_and_its_answer_comes_back(talk):
    destination = Talk(READ, SEND)
    outcome, sent, _ = await talk(destination, FINE, Response(status=201))
    assert (Delivered(), [READ, SEND]) == (outcome, sent)
    assert [200, 201] == [response.status for response in destination.heard]


async def test_the_mark_is_made_once_and_before_the_first_that_may_not_be_repeated(talk):
    _, _, marks = await talk(Talk(READ, SEND, SEND), FINE, FINE, FINE)
    assert [1] == marks


async def test_what_may_be_repeated_is_not_marked(talk):
    _, _, marks = await talk(Talk(READ, READ), FINE, FINE)
    assert [] == marks


async def test_a_fact_that_its_rule_sends_again_after_silence_is_not_marked(talk):
    outcome, _, marks = await talk(Talk(SEND), LOST, resend=True)
    assert (True, []) == (isinstance(outcome, Retry), marks)


async def test_silence_after_what_may_be_repeated_is_tried_again(talk):
    destination = Talk(READ)
    outcome, _, _ = await talk(destination, LOST)
    assert isinstance(outcome, Retry)
    assert destination.is_closed


async def test_silence_after_what_may_not_be_repeated_is_uncertain(talk):
    destination = Talk(SEND)
    outcome, _, _ = await talk(destination, LOST)
    assert isinstance(outcome, Uncertain)
    assert destination.is_closed


@pytest.mark.parametrize("status", [200, 201, 500, 503])
async def test_what_may_have_had_its_effect_is_not_begun_again(talk, status):
    retry = Retry(Reason.THROTTLED, "429", timedelta(seconds=1))
    outcome, _, _ = await talk(Talk(SEND, READ, outcome=retry), Response(status=status), FINE)
    assert Uncertain(Reason.THROTTLED, "429", timedelta(seconds=1)) == outcome


async def test_what_was_refused_in_so_many_words_is_begun_again(talk):
    retry = Retry(Reason.THROTTLED, "429", None)
    outcome, _, _ = await talk(Talk(SEND, outcome=retry), Response(status=429))
    assert retry == outcome


async def test_a_bug_of_the_connector_is_a_dead_fact_and_uncertain_once_something_left(talk):
    dead, _, _ = await talk(Talk(READ, outcome=KeyError("x")), FINE)
    assert (Reason.CONNECTOR_FAILED, True) == (dead.reason, isinstance(dead, Rejected))
    uncertain, _, _ = await talk(Talk(SEND, outcome=KeyError("x")), FINE)
    assert (Reason.CONNECTOR_FAILED, True) == (uncertain.reason, isinstance(uncertain, Uncertain))


async def test_a_conversation_that_does_not_end_is_ended(talk):
    destination = Talk(*[READ] * (MOST_REQUESTS + 1))
    outcome, sent, _ = await talk(destination, *[FINE] * (MOST_REQUESTS + 1))
    assert (Reason.CONNECTOR_FAILED, MOST_REQUESTS) == (outcome.reason, len(sent))
    assert destination.is_closed


async def test_what_the_lost_journal_may_have_sent_does_not_leave(talk):
    outcome, sent, marks = await talk(Talk(READ, SEND), FINE, doubtful=True)
    assert (Reason.RESTORED, [READ], []) == (outcome.reason, sent, marks)


async def test_in_shadow_mode_only_what_reads_is_sent(talk):
    destination = Talk(READ, SEND)
    outcome, sent, marks = await talk(destination, FINE, shadow=True)
    assert (Delivered(), [READ], []) == (outcome, sent, marks)
    assert [200, 201] == [response.status for response in destination.heard]


async def test_what_a_person_decided_about_does_not_leave(talk):
    with pytest.raises(ClaimRevoked):
        await talk(Talk(SEND), FINE, revoked=True)
