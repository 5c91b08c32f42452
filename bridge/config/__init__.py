"""Read one YAML file and the environment into frozen settings, or report all problems at once with file, line and path.

No later code sees a dict. A connector's section is read by the connector's own class. Secrets are resolved here.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any, cast

from pydantic import (
    BaseModel,
    ValidationError,
)

from bridge import registry
from bridge.config.includes import Includes, Place
from bridge.config.messages import complaint
from bridge.config.sections import (
    JOURNALS,
    ConsoleSettings,
    DeliverySettings,
    Door,
    File,
    JournalSettings,
    Keep,
    Logs,
    OwnDelivery,
    PostgresSettings,
    Private,
    Section,
    SqliteSettings,
)
from bridge.contract import Described, Destination, EventShape, Fields, Json, Open, Renames, Source, StreamSource, Tells
from bridge.errors import ConfigurationError, Problem
from bridge.mapping.fields import wrong_type
from bridge.mapping.loader import Document, load
from bridge.mapping.records import RecordExpressions
from bridge.mapping.rules import Rules, Written, compile_rules
from bridge.setting_types import EXPRESSIONS, MadeUp
from bridge.texts import NoText, Sign, sign_of, text_of

_ANY: Fields = {}
"""The shape of documents or events of which nothing is known: any field."""
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  compared, not listened at
_HERE = frozenset({"127.0.0.1", "::1", "localhost"})
_SEEN_BY_ALL = (
    "is missing: at {host} others than this machine reach the console; "
    "give it `read_token: env:NAME`, or listen at 127.0.0.1"
)
_OPEN_TO_ALL = (
    "whoever reaches the door at {host} could post orders: with `open: true` write `door: {{host: 127.0.0.1}}`, or "
    "take `open` away and say how deliveries are authenticated"
)
_LEAST: Mapping[str, Json] = {"sources": {"one": {}}, "destinations": {"one": {}}}
_NO_CONFIGURATION = "a configuration is a mapping: sources, destinations, rules, ..."


class _OnlyJournal(Section):
    journal: JournalSettings


class _OnlyPrivate(Section):
    private: Private = Private()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A destination with what the core keeps for it."""

    connector: str
    destination: Destination
    shadow: bool
    delivery: Mapping[str, Any] = field(default_factory=dict)
    """The destination's own settings of delivery, by name: only those that the file has."""
    is_another: bool = False
    """Whether `formerly: []` says that this is no renamed destination, although the journal has keys of one that is
    gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the service is opened with."""

    sources: Mapping[str, Source]
    connectors: Mapping[str, str]
    """Source to its connector's name."""
    destinations: Mapping[str, Outlet]
    rules: Rules
    journal: JournalSettings
    door: Door
    private: Private
    console: ConsoleSettings | None
    delivery: DeliverySettings
    logs: Logs
    sections: Mapping[str, Json] = field(default_factory=dict, repr=False)
    """The sections as they stand in the file. A reload compares them to see what has changed."""
    file: Path | None = None
    """The file of the configuration. None: it came as text."""
    files: Mapping[Path, Sign] = field(default_factory=dict)
    """All files that were read, each with its sign from before the reading."""
    switched_off: Mapping[str, str] = field(default_factory=dict)
    """Included rules that `NAME: false` switches off, each with the file and line that says so."""
    opt_in: tuple[str, ...] = ()
    """Included rules that are off until `NAME: true` switches them on."""
    read_by_sources: Mapping[str, Json] = field(default_factory=dict, repr=False)
    """The variables that expressions of connectors read. Like the connectors themselves, they stay as they were at the
    start."""
    written: tuple[Written, ...] = field(default=(), repr=False)
    """The rules that result from what is included and overridden."""

    def unfed(self) -> Sequence[str]:
        """A sentence for each source and each destination that no rule joins to another: nothing goes that way."""
        brought = {name: frozenset(source.topics().values()) for name, source in self.sources.items()}
        lonely = []
        for name, kinds in brought.items():
            unknown = kinds - self.rules.kinds
            # A platform has many kinds that a shop has no use for; a topic was named by somebody who wants it sent.
            if unknown and (unknown == kinds or isinstance(self.sources[name], StreamSource)):
                lonely.append(
                    f"source {name}: no rule is for {', '.join(sorted(unknown))}: such documents are kept, and nothing "
                    "of them is sent"
                )
        every = frozenset[str]().union(*brought.values())
        return lonely + [
            f"destination {name}: no rule sends it anything of what the sources bring: write a rule with "
            f"`to: {name}`, or take it out"
            for name in self.destinations
            if not any(self.rules.knows(kind, name) for kind in every)
        ]


def read_file(
    path: Path, *, environ: Mapping[str, str] | None = None, files: dict[Path, Sign] | None = None
) -> Settings:
    """Read a configuration from a file. Raises ConfigurationError with every problem of the file and of what it
    includes. Each file that was looked for is noted in `files`, also where this raises."""
    files = {} if files is None else files
    files[path] = sign_of(path)
    return replace(_read(_text_of(path), str(path), environ, files), file=path)


def _text_of(path: Path) -> str:
    try:
        return text_of(path)
    except NoText as problem:
        cure = "mend it, or name another" if path.is_symlink() or path.exists() else "name one that is there"
        cure = f"{cure} with --config or BRIDGE_CONFIG"
        raise ConfigurationError([Problem(message=f"cannot be read: {problem}; {cure}", file=str(path))]) from None


def read(text: str, *, file: str = "bridge.yaml", environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from text, as `read_file` does from a file. Included files are looked for beside `file`."""
    return _read(text, file, environ, {})


def _read(text: str, file: str, environ: Mapping[str, str] | None, files: dict[Path, Sign]) -> Settings:
    reading = _ConfigReader(load(text, file), os.environ if environ is None else environ, files)
    settings = reading.settings()
    if settings is None:
        raise ConfigurationError(sorted(reading.problems, key=lambda p: (p.file != file, p.file, p.line, p.column)))
    return settings


_SHARED_INSTANCE = (
    "with a journal in Postgres several bridges may run by this file, and each needs an instance of its own, or they "
    "take the topics from each other: write env:HOSTNAME (a pod's name is there), or leave it out"
)

_OTHER_NAMES = (
    "a shop is {here} here and {there} in source {other}: its orders would be two in the journal, and each sent; write "
    "all its names in both sources, in the same order"
)

_SAME_INSTANCE = "is that of source {other} in the same group: they would take the topics from each other; name another"


@dataclass(slots=True)
class _ConfigReader:
    """One pass over a configuration. It collects problems instead of stopping at the first."""

    document: Document
    environ: Mapping[str, str]
    files: dict[Path, Sign] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    composing: Includes | None = None
    expressions: RecordExpressions = field(default_factory=RecordExpressions)
    alike_sources: dict[str, Source] = field(default_factory=dict)
    alike_destinations: dict[str, Destination] = field(default_factory=dict)
    """The destinations that lack nothing but their secrets, made with invented secrets: rules can be checked against
    them."""
    unread: set[str] = field(default_factory=set)
    """Sections that are missing or wrong. What depends on them is not reported."""

    def settings(self) -> Settings | None:
        top = self._top()
        if top is None:
            return None
        variables = self._variables(top)
        sources = {name: made for name in top.sources if (made := self._source(name, top)) is not None}
        destinations = {name: outlet for name in top.destinations if (outlet := self._outlet(name, top)) is not None}
        rules = self._rules(top, sources, destinations, variables)
        self._check_names(sources)
        if "door" not in self.unread:
            self._check_open(sources, top.door)
        if not self.unread & {"door", "private", "console"}:
            self._check_ports({"door": top.door, "private": top.private, "console": top.console})
        if top.console is not None and "console" not in self.unread:
            self._check_console(top.console)
        if rules is not None and "journal" not in self.unread:
            self._check_keep(top.journal.keep, rules)
        if "journal" not in self.unread:
            self._check_instances(sources, is_shared=isinstance(top.journal, PostgresSettings))
        if rules is None or self.composing is None or self.problems:
            return None
        return Settings(
            sources=sources,
            connectors={name: top.sources[name]["connector"] for name in sources},
            destinations=destinations,
            rules=rules,
            journal=top.journal,
            door=top.door,
            private=top.private,
            console=top.console,
            delivery=top.delivery,
            logs=top.logs,
            sections=self.document.value,
            files=self.files,
            switched_off=self.composing.switched_off,
            opt_in=tuple(self.composing.opt_in),
            written=tuple(self.written),
            read_by_sources=self.expressions.read,
        )

    def _add(self, message: str, path: Place) -> None:
        line, column = self.document.where(path)
        place = ".".join(str(step) for step in path)
        self.problems.append(Problem(message=message, path=place, file=self.document.file, line=line, column=column))

    def _validated(self, model: type[BaseModel], value: Json, at: Place) -> BaseModel | None:
        try:
            return model.model_validate(value, context={"environ": self.environ, EXPRESSIONS: self.expressions})
        except ValidationError as invalid:
            for error in invalid.errors(include_url=False, include_input=False):
                of, loc, place = _located(model, tuple(step for step in error["loc"] if step != "[key]"))
                self._add(complaint(of, error, loc), (*at, *place))
            return None

    def journal(self) -> SqliteSettings | PostgresSettings | None:
        """Read the section of the journal alone. A file that is no configuration at all does not mean the default
        journal."""
        if not isinstance(self.document.value, dict):
            self._add(_NO_CONFIGURATION, ())
            return None
        made = self._validated(_OnlyJournal, {"journal": self.document.value.get("journal", {})}, ())
        return cast("_OnlyJournal", made).journal if made is not None else None

    def private(self) -> Private | None:
        """Read the section of the private port alone."""
        value = self.document.value if isinstance(self.document.value, dict) else {}
        made = self._validated(_OnlyPrivate, {"private": value.get("private", {})}, ())
        return cast("_OnlyPrivate", made).private if made is not None else None

    def _top(self) -> File | None:
        value = {} if self.document.value is None else self.document.value
        if not isinstance(value, dict):
            self._add(_NO_CONFIGURATION, ())
            return None
        top = self._validated(File, value, ())
        # With a fault in one section the others are still read, so that all problems are reported at once.
        return cast("File", top) if top is not None else self._readable(self._as_meant(value))

    def _as_meant(self, value: Mapping[str, Json]) -> Mapping[str, Json]:
        """Put misspelt sections under the names that were meant, as the problems already say."""
        missing = [name for name in File.model_fields if name not in value]
        meant = {name: near[0] for name in value if (near := difflib.get_close_matches(name, missing, n=1))}
        meant = {name: right for name, right in meant.items() if name not in File.model_fields}
        self.document = self.document.renamed(meant)
        return {meant.get(name, name): section for name, section in value.items()}

    def _readable(self, value: Mapping[str, Json]) -> File:
        """The sections that can be read, each by itself."""
        read: dict[str, Any] = {"sources": {}, "destinations": {}}
        context = {"environ": self.environ, EXPRESSIONS: self.expressions}
        for name in File.model_fields:
            try:
                if name in value or name in _LEAST:
                    read[name] = getattr(File.model_validate({**_LEAST, name: value.get(name)}, context=context), name)
            except ValidationError:
                self.unread.add(name)
        return File.model_construct(**read)

    def _check_ports(self, places: Mapping[str, Door | Private | ConsoleSettings | None]) -> None:
        """Report a port that two sections would both open at the same address."""
        listening = [(name, place) for name, place in places.items() if place is not None and place.port]
        for (one, first), (other, second) in combinations(listening, 2):
            hosts = {first.host, second.host}
            if first.port == second.port and (len(hosts) == 1 or hosts & _EVERYWHERE):
                owner = "the door's port" if one == "door" else f"the port of `{one}`"
                self._add(f"{first.port} is {owner} too: give one of them another", (other, "port"))

    def _check_console(self, console: ConsoleSettings) -> None:
        """Report a console that others can reach without a token, and one token for two rights."""
        read, act = console.read_token, console.act_token
        if console.host not in _HERE and read is None:
            self._add(_SEEN_BY_ALL.format(host=console.host), ("console", "read_token"))
        is_one = read is not None and act is not None and read.reveal() == act.reveal()
        if is_one and not isinstance(self.environ, MadeUp):
            self._add("is the same as `read_token`: who may only look could act", ("console", "act_token"))

    def _check_open(self, sources: Mapping[str, Source], door: Door) -> None:
        """Report a source that takes what nobody authenticated, at a door that others can reach."""
        for name, source in sources.items():
            if isinstance(source, Open) and source.is_open and door.host not in _HERE:
                self._add(_OPEN_TO_ALL.format(host=door.host), ("sources", name, "open"))

    def _check_keep(self, keep: Keep, rules: Rules) -> None:
        """Report times in `keep` that do not fit. A key that is forgotten while its fact may still come would let the
        fact be sent again."""
        at = ("journal", "keep")
        if keep.keys <= rules.longest_max_age:
            longest = rules.longest_max_age.days
            self._add(f"keys must be kept longer than the longest max_age of a rule, {longest}d", (*at, "keys"))
        if not keep.bodies <= keep.history <= keep.keys:
            self._add("bodies may not be kept longer than the history, nor the history longer than the keys", at)

    def _check_instances(self, sources: Mapping[str, Source], *, is_shared: bool) -> None:
        """Report an `instance` that two sources share, and a literal one with a shared journal: many bridges run by the
        same file, and so do two while one is replaced."""
        taken: dict[tuple[frozenset[str], str, str], str] = {}
        streams = {name: source for name, source in sources.items() if isinstance(source, StreamSource)}
        for name, source in streams.items():
            read = source.subscription()
            if read.instance is None:
                continue
            other = taken.setdefault((frozenset(read.brokers), read.group, read.instance), name)
            if other != name:
                self._add(_SAME_INSTANCE.format(other=other), ("sources", name, "instance"))
            elif is_shared and read.is_instance_literal:
                self._add(_SHARED_INSTANCE, ("sources", name, "instance"))

    def _check_kinds(self, sources: Mapping[str, Source]) -> bool:
        """Check that sources describe documents by shapes. What a connector takes as settings may be anything."""
        count = len(self.problems)
        for name, source in sources.items():
            for kind, shape in source.kinds().items():
                if complaint := wrong_type(shape):
                    self._add(complaint, ("sources", name, "kinds", kind))
        return len(self.problems) == count

    def _check_names(self, sources: Mapping[str, Source]) -> None:
        """Report a tenant that has other names in another source: an order would be one in this and another in that.
        The problem is reported for the source that knows fewer names, or stands later."""
        renames = {name: source for name, source in sources.items() if isinstance(source, Renames)}
        places = [*renames]
        for name, other in permutations(renames, 2):
            for here in map(tuple, renames[name].families()):
                there = {tuple(renames[other].known_as(one)) for one in here} - {(), here}
                longest = max(there, key=lambda names: (len(names), names), default=())
                if len(longest) > len(here) or (len(longest) == len(here) and places.index(other) < places.index(name)):
                    said = {"here": ", ".join(here), "there": ", ".join(longest), "other": other}
                    self._add(_OTHER_NAMES.format(**said), ("sources", name))

    # -- connectors ----------------------------------------------------------------------------------------------------

    def _connector(self, section: str, name: str, given: Mapping[str, Json], own: Sequence[str]) -> BaseModel | None:
        at = (section, name)
        chosen = given.get("connector")
        if not isinstance(chosen, str):
            known = ", ".join(sorted(registry.names()))
            self._add(f"`connector:` is missing; there are: {known}", at)
            return None
        try:
            model = registry.connector(chosen)
        except registry.NoSuchConnector as unknown:
            self._add(str(unknown), (*at, "connector"))
            return None
        settings = {key: value for key, value in given.items() if key not in own}
        made = self._validated(model, settings, at)
        if made is None:
            self._note_alike(section, name, model, settings)
        return made

    def _note_alike(self, section: str, name: str, model: type[BaseModel], settings: Json) -> None:
        with suppress(ValidationError):
            alike = model.model_validate(settings, context={"environ": MadeUp(), EXPRESSIONS: self.expressions})
            if section == "sources" and hasattr(alike, "kinds"):
                self.alike_sources[name] = cast("Source", alike)
            if section == "destinations" and hasattr(alike, "converse"):
                self.alike_destinations[name] = cast("Destination", alike)

    def _source(self, name: str, top: File) -> Source | None:
        made = self._connector("sources", name, top.sources[name], ("connector",))
        if made is not None and not hasattr(made, "kinds"):
            self._add(f"connector {top.sources[name]['connector']} is no source", ("sources", name, "connector"))
            return None
        return cast("Source | None", made)

    def _outlet(self, name: str, top: File) -> Outlet | None:
        given = top.destinations[name]
        mode = given.get("mode", "live")
        if mode not in ("live", "shadow"):
            self._add("mode is live or shadow", ("destinations", name, "mode"))
        if given.get("formerly", []) != []:
            self._add("a destination keeps its name, which is part of its keys; `formerly: []` says that it is another",
                      ("destinations", name, "formerly"))  # fmt: skip
        own = self._own_delivery(name, top.delivery, given.get("delivery", {}))
        made = self._connector("destinations", name, given, ("connector", "mode", "formerly", "delivery"))
        if made is None:
            return None
        if not hasattr(made, "converse"):
            self._add(f"connector {given['connector']} is no destination", ("destinations", name, "connector"))
            return None
        destination = cast("Destination", made)
        return Outlet(
            connector=given["connector"],
            destination=destination,
            shadow=mode == "shadow",
            delivery=own,
            is_another="formerly" in given,
        )

    def _own_delivery(self, name: str, common: DeliverySettings, given: Json) -> Mapping[str, Any]:
        at = ("destinations", name, "delivery")
        read = self._validated(OwnDelivery, given, at)
        own = {key: getattr(read, key) for key in read.model_fields_set} if read is not None else {}
        whole = common.of(own)
        if whole.least_concurrency > whole.concurrency:
            self._add("least_concurrency is greater than concurrency", at if own else ("delivery", "least_concurrency"))
        return own

    # -- rules ---------------------------------------------------------------------------------------------------------

    def _variables(self, top: File) -> Mapping[str, Json]:
        """The variables of the file with its tables. Expressions of sources may read them too."""
        self.composing = Includes(
            document=self.document, include=top.include, rules=top.rules, vars=top.vars, tables=top.tables,
            fields=top.fields, files=self.files, problems=self.problems, is_whole="include" not in self.unread,
        )  # fmt: skip
        variables = self.composing.variables()
        self.expressions = RecordExpressions(None if self.unread & {"vars", "tables"} else variables)
        return variables

    def _rules(
        self,
        top: File,
        sources: Mapping[str, Source],
        destinations: Mapping[str, Outlet],
        variables: Mapping[str, Json],
    ) -> Rules | None:
        composing = self.composing
        if composing is None:
            return None
        self.written = composing.written()
        fields = composing.described()
        if self.unread & {"vars", "tables", "fields"}:
            return None
        known = {**self.alike_sources, **sources}
        shapes = {name: outlet.destination.shape() for name, outlet in destinations.items()}
        shapes = {name: made.shape() for name, made in self.alike_destinations.items()} | shapes
        if not self._check_kinds(known):
            return None
        is_whole = len(known) == len(top.sources) and "sources" not in self.unread
        included = composing.of_included()
        kinds = _kinds(known, included)
        topics = {topic: kind for source in known.values() for topic, kind in source.topics().items()}
        told = {name: _rule_settings(source, included) for name, source in known.items()}
        if not is_whole:  # then documents may come, and fields in them, of which nothing is known
            topics, told = {}, {}
            fields = {path: each for path, each in fields.items() if path.partition(".")[0] in kinds}
            kinds = {**dict.fromkeys(_kinds_of(self.written), _ANY), **kinds}
        # A destination that could not be read says nothing of the rules that go there; it still has a name.
        going = composing.going(self.written, list(top.destinations))
        checked = [each for each in going if _target(each.body, top.destinations) in shapes.keys() | {None}]
        try:
            return compile_rules(
                checked if top.destinations else (),
                kinds=kinds, topics=topics, told=told,
                destinations={name: shapes.get(name, EventShape(fields=_ANY)) for name in top.destinations},
                variables=variables, fields=fields,
            )  # fmt: skip
        except ConfigurationError as wrong:
            self.problems.extend(composing.placed(each) for each in wrong.problems)
            return None


def _kinds(sources: Mapping[str, Source], included: Sequence[Described]) -> Mapping[str, Fields]:
    found: dict[str, Fields] = {}
    for source in sources.values():
        # Where one source does not describe a kind (a topic in the shape of a platform), another may.
        found.update((kind, shape) for kind, shape in source.kinds().items() if shape or kind not in found)
    for each in included:
        # If a topic brings documents in a platform's shape, the platform's rules know their fields.
        found |= {kind: {**shape, **found[kind]} for kind, shape in each.kinds.items() if kind in found}
    return found


def _rule_settings(source: Source, included: Sequence[Described]) -> Mapping[str, Json]:
    """The settings that a source gives to rules, and the defaults of included rules for those that it does not give."""
    defaults = {name: value for each in included for name, value in each.tells.items()}
    return {**defaults, **(source.tells() if isinstance(source, Tells) else {})}


def _kinds_of(written: Sequence[Written]) -> frozenset[str]:
    """The kinds of document that rules say they are for."""
    said = [each.body.get("for") for each in written if isinstance(each.body, dict)]
    return frozenset(
        kind for each in said for kind in (each if isinstance(each, list) else [each]) if isinstance(kind, str)
    )


def _target(rule: Json, destinations: Mapping[str, object]) -> str | None:
    """The destination of the file that a rule goes to. None: it names none."""
    only = next(iter(destinations)) if len(destinations) == 1 else None
    to = rule.get("to", only) if isinstance(rule, dict) else None
    return to if isinstance(to, str) and to in destinations else None


def journal_of(path: Path | None) -> SqliteSettings | PostgresSettings:
    """Read the journal alone, for commands that need nothing else: no secret but its own has to be at hand."""
    if path is None:
        return SqliteSettings()
    reading = _ConfigReader(load(_text_of(path), str(path)), os.environ)
    found = reading.journal()
    if found is None:
        raise ConfigurationError(reading.problems)
    return found


def private_of(path: Path | None) -> Private:
    """Read the private port alone, for commands that ask a running bridge. Raises ConfigurationError."""
    if path is None:
        return Private()
    reading = _ConfigReader(load(_text_of(path), str(path)), os.environ)
    found = reading.private()
    if found is None:
        raise ConfigurationError(reading.problems)
    return found


def source_names(path: Path) -> Sequence[str]:
    """Names of the sources as they stand there, for commands that need nothing else of them."""
    top = load(_text_of(path), str(path)).value
    sources = top.get("sources") if isinstance(top, dict) else None
    return tuple(sources) if isinstance(sources, dict) else ()


def _located(model: type[BaseModel], loc: Place) -> tuple[type[BaseModel], Place, Place]:
    """The model that an error is about, the place in it, and the place in the file, which has no kind of journal in
    it."""
    if model in (File, _OnlyJournal) and loc[:1] == ("journal",) and len(loc) > 1 and loc[1] in JOURNALS:
        return JOURNALS[str(loc[1])], loc[2:], ("journal", *loc[2:])
    return model, loc, loc
