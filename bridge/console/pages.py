"""The views of the console, each with an address of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from bridge import clock
from bridge.console.access import FORM_TOKEN, Access, Forbidden, Right, check_origin
from bridge.console.acts import CALLED_OFF_WITHIN, DEEDS, RELEASE, Act, Acts
from bridge.console.parts import Parts
from bridge.console.rates import Rates
from bridge.console.rendering import Rendering
from bridge.contract import Envelope, Reason, State
from bridge.dry_run import DryRun, Verdict
from bridge.dry_run.request_text import decoded, requests_of, written
from bridge.journal import SKIPPED, WAITING, LaneNumber, Parked, Reader, Selection, Story
from bridge.mapping.rules_yaml import shown
from bridge.telemetry import emit
from bridge.views.listing import Found, Wanted, found
from bridge.views.moments import moment_of
from bridge.views.overview import lines_of, recorded
from bridge.views.timeline import timeline

T = TypeVar("T")

_STATIC: Final = Path(__file__).parent / "static"
_PAGE: Final = 50  # orders
_MOST: Final = 20_000
"""Documents that one page looks at: it is there within a second in any journal."""
_SAMPLE: Final = 20  # facts of a group
_FILTERS: Final = ("state", "reason", "rule", "fact")


class Pages:
    """The handlers of the console."""

    def __init__(self, parts: Parts, *, access: Access, acts: Acts, rates: Rates, rendering: Rendering) -> None:
        self._parts = parts
        self._access = access
        self._acts = acts
        self._rates = rates
        self._rendering = rendering

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """All addresses of the console."""
        return [
            web.get("/", self.now),
            web.get("/orders", self.orders),
            web.get("/orders/{lane:\\d+}", self.story),
            web.get("/orders/{lane:\\d+}/documents/{seq:\\d+}", self.document),
            web.get("/repair", self.repair),
            web.get("/repair/group", self.group),
            web.post("/repair/acts", self.act),
            web.get("/repair/acts/{number:\\d+}", self.progress),
            web.post("/repair/acts/{number:\\d+}/stop", self.stop),
            web.get("/rules", self.rules),
            web.get("/sign-in", self.sign_in_form),
            web.post("/sign-in", self.sign_in),
            web.post("/sign-out", self.sign_out),
            web.static("/static", _STATIC),
        ]

    # -- what is seen --------------------------------------------------------------------------------------------------

    async def now(self, request: web.Request) -> web.Response:
        """Show whether all is well, and the rates of the last hours."""
        async with self._parts.reading() as journal:
            seen = await recorded(journal)
        lines = list(lines_of(seen, self._parts.live(), journal=self._parts.store.name))
        return self._page(request, "now", lines=lines, rates=self._rates.shown(), now=clock.now())

    async def orders(self, request: web.Request) -> web.Response:
        """Show orders that a person looks for, by a name or by what became of them."""
        asked = {name: request.query.get(name, "").strip() for name in ("text", "since", "until", "source", "shop")}
        asked |= {name: request.query.get(name, "") for name in _FILTERS}
        after = _number(request.query.get("after", ""))
        problem, page = "", Found(orders=(), after=None, looked_at=0)
        stories: Sequence[tuple[LaneNumber, Story]] = ()
        async with self._parts.reading() as journal:
            if asked["text"]:
                stories = await self._found(journal, asked["text"])
            else:
                try:
                    page = await found(journal, _wanted(asked), after=after, limit=_PAGE, most=_MOST)
                except ValueError as wrong:
                    problem = f"Since and until take {wrong}."
        return self._page(
            request,
            "orders",
            asked=asked,
            page=page,
            stories=stories,
            problem=problem,
            states=[WAITING, SKIPPED, *(str(state) for state in State)],
            reasons=[str(reason) for reason in Reason],
            sources=list(self._parts.settings().sources),
        )

    async def _found(self, journal: Reader, text: str) -> Sequence[tuple[LaneNumber, Story]]:
        lanes = list(await journal.find(text))
        for source in self._parts.settings().sources if not lanes else ():
            lanes += await journal.find_delivery(source, text)
        stories = [(lane, await journal.story(lane)) for lane in dict.fromkeys(lanes)]
        return [(lane, story) for lane, story in stories if story is not None]

    async def story(self, request: web.Request) -> web.Response:
        """Show all that became of one order."""
        lane = LaneNumber(int(request.match_info["lane"]))
        async with self._parts.reading() as journal:
            story = _there(await journal.story(lane), "no such order is kept any more")
        return self._page(request, "story", lane=lane, story=story, moments=timeline(story))

    async def document(self, request: web.Request) -> web.Response:
        """Show a document as it came, and what the rules in force make of it. It is personal: that is logged."""
        lane, seq = (int(request.match_info[name]) for name in ("lane", "seq"))
        async with self._parts.reading() as journal:
            story = _there(await journal.story(LaneNumber(lane)), "no such order is kept any more")
            is_of_order = any(row["seq"] == seq for row in story.documents)
            envelope = _there(await journal.document(seq) if is_of_order else None, "no such document of this order")
        emit("console.shown", lane=envelope.lane, seq=seq)
        verdicts = self._verdicts(envelope) if envelope.raw else ()
        return self._page(
            request, "document", lane=lane, story=story, document=envelope, body=_readable(envelope), verdicts=verdicts
        )

    def _verdicts(self, envelope: Envelope) -> Sequence[tuple[Verdict, Sequence[str]]]:
        """What each rule makes of it, and the requests as people read them."""
        verdicts = DryRun(self._parts.settings()).map(envelope)
        return [(each, [written(asked) for asked in requests_of(each)]) for each in verdicts]

    async def rules(self, request: web.Request) -> web.Response:
        """Show the rules in force, each line with its place."""
        settings, live = self._parts.settings(), self._parts.live()
        rules = [(each.name, "\n".join(shown(each))) for each in settings.written]
        return self._page(request, "rules", rules=rules, live=live.rules, off=settings.switched_off)

    # -- what is done --------------------------------------------------------------------------------------------------

    async def repair(self, request: web.Request) -> web.Response:
        """Show what waits for a person, and the acts of this process."""
        async with self._parts.reading() as journal:
            groups, holds = await journal.parked_groups(), await journal.holds()
        return self._page(request, "repair", groups=groups, holds=holds, acts=list(self._acts))

    async def group(self, request: web.Request) -> web.Response:
        """Show some facts of a group, and what can be done with all of it."""
        selection = _selection(request.query)
        sample: list[Parked] = []
        async with self._parts.reading() as journal:
            groups = await journal.parked_groups()
            async for fact in journal.parked(selection):
                if (fact.dest, fact.rule, fact.reason) == (selection.dest, selection.rule, selection.reason):
                    sample.append(fact)
                if len(sample) == _SAMPLE:
                    break
        named = (str(selection.state), selection.dest, selection.rule, selection.reason)
        count = sum(each.count for each in groups if (each.state, each.dest, each.rule, each.reason) == named)
        deeds = {name: deed for name, deed in DEEDS.items() if deed.state is selection.state}
        return self._page(request, "group", group=selection, count=count, sample=sample, deeds=deeds)

    async def act(self, request: web.Request) -> web.Response:
        """Begin an act, and lead to its page."""
        form = await self._form(request)
        doing = form.get("doing", "")
        if doing == RELEASE:
            begun = self._acts.release(form.get("dest", ""), form.get("rule", ""))
        elif doing in DEEDS:
            begun = self._acts.on_facts(doing, replace(_selection(form), state=DEEDS[doing].state))
        else:
            raise web.HTTPBadRequest(text="the form names no act")
        return _leading_to(f"/repair/acts/{begun.number}")

    async def progress(self, request: web.Request) -> web.Response:
        """Show how far an act is."""
        act = self._act(request)
        left = max(0, round((act.begins_at - clock.now()).total_seconds()))
        return self._page(request, "act", act=act, left=left, called_off_within=int(CALLED_OFF_WITHIN))

    async def stop(self, request: web.Request) -> web.Response:
        """Call an act off, or stop it between two steps."""
        await self._form(request)
        act = self._act(request)
        act.stop.set()
        return _leading_to(f"/repair/acts/{act.number}")

    def _act(self, request: web.Request) -> Act:
        number = int(request.match_info["number"])
        return _there(self._acts.find(number), "no such act: those before the last start are not remembered")

    async def _form(self, request: web.Request) -> Mapping[str, str]:
        """The fields of a form with which a visitor acts. Raises Forbidden."""
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        self._access.check_form(request, form.get(FORM_TOKEN, ""))
        if self._access.right_of(request) < Right.ACT:
            raise Forbidden("you may look, not act: sign in with the `act_token`")
        return form

    # -- who may -------------------------------------------------------------------------------------------------------

    async def sign_in_form(self, request: web.Request) -> web.Response:
        """Ask for a token."""
        return self._page(request, "sign_in", why="")

    async def sign_in(self, request: web.Request) -> web.Response:
        """Give the visitor the right that the token carries."""
        check_origin(request)
        try:
            right = await self._access.sign_in(str((await request.post()).get("token", "")).strip())
        except Forbidden as refused:
            emit("console.refused", detail=str(refused))
            return self._page(request, "sign_in", status=HTTPStatus.FORBIDDEN, why="That is no token of this console.")
        emit("console.signed_in", right=right.words)
        answer = _leading_to("/")
        self._access.admit(request, answer, right)
        return answer

    async def sign_out(self, request: web.Request) -> web.Response:
        """Forget the visitor."""
        check_origin(request)
        answer = _leading_to("/")
        self._access.dismiss(request, answer)
        return answer

    def sign_in_first(self, request: web.Request) -> web.Response:
        return self._page(request, "sign_in", status=HTTPStatus.UNAUTHORIZED, why="")

    def refusal(self, request: web.Request, status: HTTPStatus, why: str) -> web.Response:
        return self._page(request, "refusal", status=status, why=why, phrase=status.phrase)

    def _page(
        self, request: web.Request, name: str, *, status: HTTPStatus = HTTPStatus.OK, **values: object
    ) -> web.Response:
        right = self._access.right_of(request)
        common = {
            "path": request.path,
            "may_look": right >= Right.LOOK,
            "may_act": right >= Right.ACT,
            "can_act": Right.ACT in self._access.tokens,
            "is_signed_in": right > (Right.LOOK if self._access.is_open else Right.NONE),
            "form_name": FORM_TOKEN,
            "form_token": self._access.form_token(request),
        }
        return self._rendering.page(name, {**common, **values}, status=status)


def _leading_to(path: str) -> web.Response:
    """Lead to another page, after a form: whoever loads that anew sends nothing again."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path})


def _there(thing: T | None, why_not: str) -> T:
    if thing is None:
        raise web.HTTPNotFound(text=why_not)
    return thing


def _number(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else None  # noqa: PLR2004  digits


def _wanted(asked: Mapping[str, str]) -> Wanted:
    now = clock.now()
    return Wanted(
        since=moment_of(asked["since"], now) if asked["since"] else None,
        until=moment_of(asked["until"], now) if asked["until"] else None,
        source=asked["source"],
        shops=(asked["shop"],) if asked["shop"] else (),
        of_entry={name: asked[name] for name in _FILTERS if asked[name]},
    )


def _selection(given: Mapping[str, str]) -> Selection:
    try:
        state = State(given.get("state", ""))
    except ValueError:
        state = State.DEAD
    ref = given.get("ref", "")
    return Selection(
        state=state,
        dest=given.get("dest", ""),
        rule=given.get("rule", ""),
        reason=given.get("reason", ""),
        refs=(ref,) if ref else (),
    )


def _readable(envelope: Envelope) -> str:
    """The body as people read it: JSON with indents, anything else as it came."""
    try:
        return written(decoded(envelope.raw))
    except (msgspec.DecodeError, ValueError):
        return envelope.raw.decode(errors="backslashreplace")
