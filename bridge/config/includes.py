"""Rules that result from what a configuration includes, overrides and switches off, with their tables and fields.

Every part keeps the place that it comes from.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge import registry
from bridge.contract import Described, Describes, Json
from bridge.errors import ConfigurationError, Problem
from bridge.mapping.fields import nearest
from bridge.mapping.inference import from_schema
from bridge.mapping.loader import Document, load
from bridge.mapping.rules import Written
from bridge.mapping.tables import table
from bridge.texts import NoText, Sign, sign_of, text_of

Place = tuple[str | int, ...]


@dataclass(slots=True, kw_only=True)
class Includes:
    """The sections of one configuration that make its rules; collects problems, and the files that were read.

    files         each file that was read, or that could not be, with its sign from before the reading
    switched_off  included rules that `NAME: false` switches off, each with the place that says so
    opt_in        included rules that are off until `NAME: true` switches them on
    shipped       rules of connectors, each with the place in `include` that names them
    is_whole      all that is included could be read: what it lacks is known
    """

    document: Document
    include: Sequence[str]
    rules: Mapping[str, Json]
    vars: Mapping[str, Json]
    tables: Mapping[str, str]
    fields: Mapping[str, Json]
    files: dict[Path, Sign]
    problems: list[Problem] = field(default_factory=list)
    is_whole: bool = True
    switched_off: dict[str, str] = field(default_factory=dict)
    opt_in: list[str] = field(default_factory=list)
    shipped: dict[str, int] = field(default_factory=dict)

    def _add(self, message: str, path: Place) -> None:
        line, column = self.document.where(path)
        place = ".".join(map(str, path))
        self.problems.append(Problem(message=message, path=place, file=self.document.file, line=line, column=column))

    def placed(self, problem: Problem) -> Problem:
        """Give the problem its place in this file, if it has none yet. Of a problem in fields, only the path is
        known."""
        if problem.file:
            return problem
        section, _, rest = problem.path.partition(".")
        line, column = self.document.where((section, rest))
        return replace(problem, file=self.document.file, line=line, column=column)

    def variables(self) -> Mapping[str, Json]:
        """What rules find under `vars`: the variables, and the tables from their files."""
        tables: dict[str, Json] = {}
        for name, file in self.tables.items():
            if name in self.vars:
                self._add(f"{name} is a variable too: give one another name", ("tables", name))
            tables[name] = {}
            path = self._beside(file)
            text = self._text_of(path, ("tables", name))
            try:
                tables[name] = {} if text is None else table(text, str(path))
            except ConfigurationError as wrong:
                self.problems.extend(wrong.problems)
        return {**self.vars, **tables}

    def described(self) -> Mapping[str, Json]:
        """The descriptions of fields, each as it stands here or as its file has it."""
        return {path: self._description(path, declared) for path, declared in self.fields.items()}

    def _description(self, path: str, declared: Json) -> Json:
        """A JSON Schema (.json), or fields with their types (.yaml)."""
        if not isinstance(declared, str) or not declared.endswith((".json", ".yaml", ".yml")):
            return declared
        file = self._beside(declared)
        text = self._text_of(file, ("fields", path))
        try:
            found = {} if text is None else load(text, str(file)).value
        except ConfigurationError as wrong:
            self.problems.extend(wrong.problems)
            return {}
        return from_schema(found) if declared.endswith(".json") and text is not None else found

    def _beside(self, name: str) -> Path:
        """A file that is named from this one."""
        return Path(self.document.file).parent / name

    def _text_of(self, path: Path, at: Place) -> str | None:
        self.files[path] = sign_of(path)
        try:
            return text_of(path)
        except NoText as problem:
            self._add(f"cannot read {path}: {problem}", at)
            return None

    def of_included(self) -> Sequence[Described]:
        """Descriptions of the connectors whose rules are included. A name that is no connector is reported where rules
        are read."""
        found: dict[str, Described] = {}
        for name in self.include:
            connector = name.partition("/")[0]
            if not name.endswith((".yaml", ".yml")) and connector not in found:
                with suppress(registry.NoSuchConnector):
                    made: object = registry.connector(connector)
                    if isinstance(made, Describes):
                        found[connector] = made.described()
        return list(found.values())

    def _included(self) -> dict[str, Written]:
        rules: dict[str, Written] = {}
        for index, name in enumerate(self.include):
            for rule in self._include(name, ("include", index)):
                if rule.name in rules:
                    self._add(f"rule {rule.name} is in {rules[rule.name].where(())[0]} too", ("include", index))
                rules[rule.name] = rule
                if not name.endswith((".yaml", ".yml")):
                    self.shipped[rule.name] = index
        return rules

    def _chosen(self, rules: Mapping[str, Written]) -> dict[str, Written]:
        """Leave out the included rules that are off by default and not named by the configuration. `opt_in` in a rule's
        file makes it one of them."""
        chosen: dict[str, Written] = {}
        for name, rule in rules.items():
            if not isinstance(rule.body, dict) or "opt_in" not in rule.body:
                chosen[name] = rule
            elif self.rules.get(name, False) is not False:
                body = {key: value for key, value in rule.body.items() if key != "opt_in"}
                chosen[name] = replace(rule, body=body)
            elif name not in self.rules:
                self.opt_in.append(name)
        return chosen

    def _include(self, name: str, at: Place) -> Sequence[Written]:
        try:
            path = self._included_path(name)
            self.files[path] = sign_of(path)
            document = load(text_of(path), str(path))
        except registry.NoSuchConnector as unknown:
            self._add(str(unknown), at)
        except NoText as problem:
            self._add(f"cannot include {name}: {_cure(name) or problem}", at)
        except ConfigurationError as wrong:
            self.problems.extend(wrong.problems)
        else:
            body = document.value
            rules = body.get("rules") if isinstance(body, dict) else None
            if isinstance(rules, dict):
                return [_written(document, rule, rules[rule]) for rule in rules]
            self._add(f"{path} has no `rules:`", at)
        return ()

    def _included_path(self, name: str) -> Path:
        """The file of an include. `shopify/default` is a connector's; a name that ends in .yaml is a file beside this
        one."""
        if name.endswith((".yaml", ".yml")):
            return self._beside(name)
        connector, _, rules = name.partition("/")
        return registry.folder(connector) / "rules" / f"{rules}.yaml"

    def written(self) -> list[Written]:
        """The rules as written, the included ones first. A rule of the same name replaces their keys one by one;
        `false` switches one off."""
        before = len(self.problems)
        included = self._included()
        self.is_whole = self.is_whole and len(self.problems) == before
        rules = self._chosen(included)
        for name, body in self.rules.items():
            own = _written(self.document, name, body)
            if body is False and name in rules:
                file, line, _ = own.where(())
                self.switched_off[name] = f"{file}:{line}"
                del rules[name]
            elif isinstance(body, bool):
                if name not in included and self.is_whole:
                    self._add(
                        f"there is no included rule {name} that {_switched(name, body, included)}", ("rules", name)
                    )
            elif name in rules and isinstance(body, dict) and isinstance(rules[name].body, dict):
                rules[name] = _overridden(rules[name], own)
            elif self._is_own(name, body, included):
                rules[name] = own
        if not rules and not self.problems:
            self._add("there are no rules: write `include: [shopify/default]`, or rules of your own", ())
        return list(rules.values())

    def going(self, rules: Sequence[Written], destinations: Sequence[str]) -> Sequence[Written]:
        """Leave out rules of connectors that go to no destination of the file. Report each such destination once."""
        lost: dict[tuple[int, str], list[str]] = {}
        for rule in rules if destinations else ():
            to = rule.body.get("to") if isinstance(rule.body, dict) else None
            is_as_shipped = rule.name in self.shipped and rule.where(("to",))[0] != self.document.file
            if is_as_shipped and isinstance(to, str) and to not in destinations:
                lost.setdefault((self.shipped[rule.name], to), []).append(rule.name)
        for (index, to), names in lost.items():
            each = ", ".join(f"{name}: {{to: {destinations[0]}}}" for name in names)
            cure = f"call a destination {to}, or say where its rules go: rules: {{{each}}}"
            self._add(f"its rules go to {to}, and there is no such destination: {cure}", ("include", index))
        gone = {name for names in lost.values() for name in names}
        return [rule for rule in rules if rule.name not in gone]

    def _is_own(self, name: str, body: Json, included: Mapping[str, Written]) -> bool:
        """Whether a rule is the configuration's own, however wrong. A rule that has no `for` may be meant for an
        included one."""
        if not isinstance(body, dict) or "for" in body:
            return True
        if self.is_whole and (near := nearest(name, included)):
            self._add(f"no included rule is called {name}{near}", ("rules", name))
            return False
        return self.is_whole


def _switched(name: str, on: bool, included: Mapping[str, Written]) -> str:  # noqa: FBT001  what was written
    if on:
        return f"could be switched on{nearest(name, included)}"
    cure = nearest(name, included) or ": a rule of one's own is taken out of the file"
    return f"could be switched off{cure}"


def _cure(name: str) -> str:
    """A cure for an include that names a connector: the rules that the connector has."""
    connector, _, rules = name.partition("/")
    if not rules or rules.endswith((".yaml", ".yml")):
        return ""
    there = sorted(f"{connector}/{path.stem}" for path in (registry.folder(connector) / "rules").glob("*.yaml"))
    return f"connector {connector} has no such rules; there are: {', '.join(there) or 'none'}"


def _written(document: Document, name: str, body: Json) -> Written:
    return Written(name=name, body=body, where=lambda path: (document.file, *document.where(("rules", name, *path))))


def _overridden(base: Written, own: Written) -> Written:
    """Keys of `own` go before those of `base`; each is reported where it stands."""

    def where(path: Sequence[str | int]) -> tuple[str, int, int]:
        return own.where(path) if path and path[0] in own.body else base.where(path)

    return Written(name=base.name, body={**base.body, **own.body}, where=where)
