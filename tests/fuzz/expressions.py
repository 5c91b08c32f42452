"""Expressions, rules and whole configurations that somebody wrote wrong, applied to odd documents."""

# ruff: noqa: E501 - what is drawn from reads best in long lines

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import yaml

from bridge.config import read
from bridge.contract import Event
from bridge.errors import ConfigurationError
from bridge.mapping import values
from bridge.mapping.codegen import PythonSource, compiled, namespace
from bridge.mapping.expressions import compile_expression
from bridge.mapping.functions import FUNCTIONS, SPECIAL
from bridge.mapping.loader import load
from bridge.mapping.rule import scope_of
from bridge.mapping.rules import Failure, Passed
from bridge.mapping.type_check import NotAllowed
from bridge.mapping.values import WHAT_DATA_CAN_RAISE, Beyond, Failed, exact
from bridge.surrogates import decoded
from tests.fuzz.documents import changed
from tests.fuzz.mutations import mutated
from tests.mapping.rules_of import DOCUMENT, envelope, names, rules
from tests.processes import ROOT

ATOMS = [
    "order.id",
    "order.id",
    "doc.id",
    "doc.name",
    "doc.line_items",
    "doc",
    "order.extra.a",
    "x.a",
    "order.name",
    "order.email",
    "order.total_price",
    "order.rate",
    "order.test",
    "order.created_at",
    "order.customer",
    "order.customer.email",
    "order.line_items",
    "order.line_items[0]",
    "order.line_items[0].price",
    "order.codes",
    "order.extra",
    "order.extra.deep",
    "order.extra.deep[1]",
    "doc.extra",
    "order.note_attributes",
    "order.refunds",
    "order['id']",
    "x",
    "x.price",
    "x.properties",
    "1",
    "0",
    "-3",
    "2.5",
    "0.1",
    "'a'",
    "''",
    "'YYYY-MM-DD'",
    "'UTC'",
    "'EUR'",
    "True",
    "None",
]
ODD_ATOMS = [
    "order", "topic", "shop", "key", "headers", "received_at", "vars", "source", "told", "1e400", "1e-400", "9" * 4400, "10 ** 9", "'%s'",
    "'\\ud83d'", "[]", "['a', 1]", "...", "b'a'", "1j", "nobody", "__import__",
]  # fmt: skip
FORMS = [
    "{} + {}",
    "{} - {}",
    "{} * {}",
    "{} / {}",
    "{} == {}",
    "{} != {}",
    "{} < {}",
    "{} >= {}",
    "{} < {} <= {}",
    "{} in {}",
    "{} not in {}",
    "{} and {}",
    "{} or {}",
    "not {}",
    "-{}",
    "{} if {} else {}",
    "{}[{}]",
    "{}[{}:{}]",
    "[{}, {}]",
    "({}).price",
    "({})[1:]",
    "({})[:-1]",
    "({})[-1]",
    "sum({} for x in {})",
    "any({} for x in {} if {})",
    "all({} for x in {})",
    "list({} for x in {} for y in {})",
    "first({} for x in {})",
    "join({} for x in {})",
    "min({} for x in {})",
    "max({} for x in {})",
    "count({} for x in {})",
    "flat({} for x in {})",
    "list({} for x in {} for y in x.properties for z in {})",
    "round(sum({} / 3 for x in {}), 2)",
    "lookup(tally({}, 'sku', 'quantity'), {})",
    "tally({}, 'name', 'amount')",
]
ODD_FORMS = [
    "{} // {}", "{} % {}", "{} ** {}", "{} is {}", "{{'a': {}}}", "(lambda: {})()", "f'{{{}}}'", "({}, {})", "*{}", "({} := {})",
    "({}).__class__", "{}({})", "{} @ {}", "{} << {}", "~{}", "await {}", "{{{} for x in {}}}", "[{} for x in {}]",
]  # fmt: skip
CALLS = [f"{name}({', '.join(['{}'] * count)})" for name, one in sorted(FUNCTIONS.items())
         for count in {one.least, len(one.takes)}] + [f"{name}({{}}, {{}})" for name in sorted(SPECIAL)]  # fmt: skip
RULES = """
placed:
  for: order
  {extra}
  when: = {when}
  at: = default(order.created_at, time(doc.extra))
  once: = [order.id, {once}]
  give:
    action: order.placed
    session?: = {first}
    items?: &items
      each: = order.line_items
      as: line
      when: = line.quantity > 0
      give: {{name: = line.name, price: {{amount: = line.price, currency: = order.currency}}}}
    names?: = {second}
    data?: {{a: = {third}, items: *items}}
refunded:
  for: order
  each: = order.refunds
  as: x
  at: = x.created_at
  once: = [x.id, {once}]
  give: {{action: refund.received, amount: = sum(t.amount for t in x.transactions), note?: = {third}}}
"""
FULL = {
    **DOCUMENT,
    "refunds": [
        {
            "id": 1,
            "created_at": "2026-11-20T13:30:00Z",
            "return": {"id": 5},
            "transactions": [{"kind": "refund", "status": "success", "amount": "5.00"}],
        }
    ],
}
CONFIG = """
sources: {shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:S]}}}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
include: [shopify/default]
"""
YAML = [b"&a ", b"*a", b"<<: ", b"!!python/object ", b"- ", b"? ", b": ", b"|\n ", b">\n ", b"{", b"}", b"[", b"]", b"\t", b"---\n", b"%YAML 9\n",
        b"= order.id", b"include: [../../etc/passwd]\n", b"a: b\na: c\n", b"!!binary ", b"0x1F", b"1:30", b"yes", b"~", b"\xff\xfe", b"[" * 300]  # fmt: skip


def _texts():
    """Configurations and rules of the documentation and of the connectors."""
    found = [CONFIG.encode()]
    for page in sorted((ROOT / "docs").glob("*.md")):
        found += [each.encode() for each in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
    for name in ("connectors/shopify/rules/default.yaml", "connectors/kafka/rules/erp.yaml"):
        rules_ = yaml.safe_load((ROOT / name).read_text())
        found.append(
            CONFIG.encode() + yaml.safe_dump({key: rules_[key] for key in ("rules",) if key in rules_}).encode()
        )
    found += [each.read_bytes() for each in sorted(ROOT.glob("connectors/*/examples/*/bridge.yaml"))]
    return found


TEXTS = _texts()


@dataclass(frozen=True)
class Input:
    """A text, what it is, and a document that it is applied to."""

    kind: str
    text: str
    document: object


def expression(chance, depth=3):
    """A text by a grammar that is wider than the language."""
    if depth == 0 or chance.random() < 0.25:
        return chance.choice(ATOMS if chance.random() < 0.97 else ODD_ATOMS)
    form = chance.choice(chance.choices((FORMS, CALLS, ODD_FORMS), (60, 38, 2))[0])
    inner = [f"({expression(chance, depth - 1)})" for _ in range(form.count("{}"))]
    return form.format(*inner)


def _broken(text, chance):
    return mutated(text.encode(errors="surrogatepass"), chance).decode(errors="replace")


def inputs(chance, count):
    for _ in range(count):
        document = changed(FULL, chance, most=3) if chance.random() < 0.7 else copy.deepcopy(FULL)
        kind = chance.choices(("expression", "rules", "configuration"), (90, 7, 3))[0]
        if kind == "expression":
            text = expression(chance, chance.choice((1, 1, 1, 2, 2, 3)))
            text = _broken(text, chance) if chance.random() < 0.2 else text
        elif kind == "rules":
            text = _rules(chance)
        else:
            text = _configuration(chance)
        yield Input(kind, text, document)


def _rules(chance):
    def some():
        return expression(chance, chance.choice((0, 1, 2))).replace("\n", " ").replace("#", "")

    extra = chance.choice(
        (
            "",
            "",
            "let: {x: = order.refunds, y: = order.name}",
            "fact: f",
            "stale: use",
            "max_age: 1d",
            "uncertain: resend",
        )
    )
    text = RULES.format(extra=extra, when=chance.choice(("not order.test", some())), once=chance.choice(("order.name", "order.name", some())),
                        first="order.name", second=chance.choice(("order.codes", "order.codes", some())), third=chance.choice(("doc.extra", some())))  # fmt: skip
    return _broken(text, chance) if chance.random() < 0.3 else text


def _configuration(chance):
    text = chance.choice(TEXTS)
    for _ in range(chance.choice((1, 1, 3))):
        if chance.random() < 0.4:
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(YAML) + text[at:]
        else:
            text = mutated(text, chance, others=TEXTS)
    return text.decode(errors="replace")


# -- judging -----------------------------------------------------------------------------------------------------------


def judged(one):
    """What became of it. Raises AssertionError where something was raised that may not be, or two ways differ."""
    try:
        return _JUDGES[one.kind](one)
    except AssertionError:
        raise
    except BaseException as problem:
        raise AssertionError(f"{type(problem).__name__}: {problem}") from problem


def _expression(one):
    try:
        found = compile_expression(one.text, names(x="any"))
    except NotAllowed as problem:
        return "expression refused" if str(problem) else _unsaid()
    document = _decoded(one.document)
    if not isinstance(document, dict):
        return "no document"
    scope = {"order": document, "doc": document, "x": None}
    space = namespace()
    writer = PythonSource(space)
    try:
        writer.line(f"return {found.term.python(writer)}")
        run = compiled("def run(budget, v_order, v_doc, v_x):", writer, space)
    except (SyntaxError, RecursionError, MemoryError):
        return "beyond Python"  # of a whole rule, it is a problem of the configuration: see below
    fast = _outcome(lambda: run(values.whole_budget(), document, document, None))
    slow = _outcome(lambda: found.evaluate(scope))
    assert not isinstance(slow, type) or issubclass(slow, Failed), f"the slow way raises {slow}"
    if slow is Beyond or fast is Beyond:
        return "beyond a bound"
    assert isinstance(fast, type) == isinstance(slow, type), f"fast {fast!r:.300}, slow {slow!r:.300}"
    assert isinstance(fast, type) or repr(fast) == repr(slow), f"fast {fast!r:.300}, slow {slow!r:.300}"
    return "expression failed" if isinstance(fast, type) else "expression calculated"


def _unsaid():
    raise AssertionError("a refusal without words")


def _decoded(document):
    """The document as the program reads it."""
    return decoded(msgspec.json.Decoder(float_hook=exact).decode, json.dumps(document).encode())


def _outcome(function):
    try:
        found = function()
        return list(found) if isinstance(found, Iterator) else found
    except WHAT_DATA_CAN_RAISE as failure:
        return type(failure)


def _refused(problem):
    assert problem.problems, "refused without a problem"
    for each in problem.problems:
        assert each.message, "a problem without words"
        assert each.file or each.path, f"a problem without a place: {each}"
    return "refused"


def _applied(one):
    try:
        if not isinstance(load(one.text, "bridge.yaml").value, dict):
            return "no rules"
        found = rules(one.text)
    except ConfigurationError as problem:
        return "rules " + _refused(problem)
    told = envelope(json.dumps(one.document).encode())
    fast = list(found.apply(told, "api"))
    assert fast
    assert all(isinstance(step, Event | Failure | Passed) for step in fast)
    if not isinstance(one.document, dict):
        return "rules applied to no document"
    group = found._groups["order", "api"]
    try:
        slow = [step for rule in group.rules for step in rule.explained(scope_of(rule, group.decode(told.raw), told))]
    except Beyond:
        return "rules beyond a bound"
    if not any(
        "cannot be calculated" in step.message or "than" in step.message for step in slow if isinstance(step, Failure)
    ):
        shown = (
            [repr(getattr(step, "give", None)) for step in fast],
            [repr(getattr(step, "give", None)) for step in slow],
        )
        assert (fast, shown[0]) == (slow, shown[1]), f"fast {fast!r:.600}, slow {slow!r:.600}"
    return "rules applied"


class _Any(dict):
    """An environment in which each variable is set."""

    def __missing__(self, name):
        return "a-secret-of-the-fuzzers"

    def __contains__(self, name):
        return True

    def get(self, name, default=None):
        return self[name]


def _read(one):
    try:
        found = read(one.text, environ=_Any())
    except ConfigurationError as problem:
        return "configuration " + _refused(problem)
    told = envelope(json.dumps(one.document).encode())
    for destination in found.destinations:
        assert all(isinstance(step, Event | Failure | Passed) for step in found.rules.apply(told, destination))
    return "configuration read"


_JUDGES = {"expression": _expression, "rules": _applied, "configuration": _read}


def smaller(one):
    """The same with a text of which parts are left out, as long as it fails."""
    text, size = one.text, len(one.text) // 2
    while size:
        start = 0
        while start < len(text):
            shorter = text[:start] + text[start + size :]
            if _fails(Input(one.kind, shorter, one.document)):
                text = shorter
            else:
                start += size
        size //= 2
    document = one.document
    for key in [*document] if isinstance(document, dict) else ():
        less = {name: value for name, value in document.items() if name != key}
        if _fails(Input(one.kind, text, less)):
            document = less
    return Input(one.kind, text, document)


def _fails(one):
    try:
        judged(one)
    except AssertionError:
        return True
    return False
