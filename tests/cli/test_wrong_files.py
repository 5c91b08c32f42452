"""`check` and `test` answer every wrong file with a sentence and exit 2, never with a traceback."""

import os

import pytest

from bridge.errors import ConfigurationError

RULE = "rules:\n  placed:\n    let:\n"


def _chain(names, step):
    before = ("order.total_price", *(f"x{at}" for at in range(names)))
    lines = "".join(f"      x{at}: = {step.format(before[at])}\n" for at in range(names))
    return f"{RULE}{lines}    when: = x{names - 1} > 0\n"


RULES = {
    "a chain of names": (_chain(250, "{} + 1"), "nested deeper than 60 levels"),
    "names each of which is deep": (_chain(8, "-(" * 20 + "{}" + ")" * 20), "nested deeper than 60 levels"),
    "names without end": (_chain(3000, "order.total_price"), "gives more than 200 names"),
    "a bomb of aliases": ("vars: {a: &a [1, 1], b: &b [*a, *a], c: &c [*b, *b]" + "".join(
        f", d{at}: &d{at} [{', '.join(['*' + ('c' if not at else f'd{at - 1}')] * 9)}]" for at in range(7)) + "}\n",
        "once its aliases (*name) are followed"),
    "a deep list": ("vars: {a: " + "[" * 30_000 + "]" * 30_000 + "}\n", "nested deeper than"),
    "a deep field": ("fields:\n  ? order." + "a." * 5_000 + "b\n  : text\n", "nested deeper than 32 levels"),
    "an index without end": (f"rules:\n  placed:\n    give:\n      ? {'9' * 5_000}\n      : 1\n", ""),
    "a name without end": (f"rules: {{placed: {{fact: {'a' * 5_000}}}}}\n", "at most 200 characters"),
    "forty thousand wrong keys": ("rules:\n  placed:\n" + "".join(f"    k{at}: 1\n" for at in range(40_000)), "no key"),
    "an age without end": ("rules: {placed: {max_age: 99999999999999999999d}}\n", "max_age"),
}  # fmt: skip
"""What a configuration says in itself."""


def _write(raw):
    return lambda path: path.write_bytes(raw)


def _grow(path):
    path.touch()
    os.truncate(path, 3_000_000_000)


ANY = {
    "a folder": (lambda path: path.mkdir(), "it is a folder"),
    "a pipe": (os.mkfifo, "it is no regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is no regular file"),
    "a link to itself": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "three gigabytes": (_grow, "it has more than 8 MiB"),
    "Latin-1": (_write("a: caf\xe9\n".encode("latin-1")), "it is not UTF-8 text (line 1): save it as UTF-8"),
    "UTF-16": (_write("a: b\n".encode("utf-16")), "it is UTF-16: save it as UTF-8"),
    "nothing that is there": (lambda _: None, "No such file or directory"),
}
"""What any file can be that a configuration names."""

TABLES = {
    "an open quote": (b'key,value\na,"b\n', "a quote is opened and not closed"),
    "text behind a quote": (b'key,value\na,"b"c\n', "text stands behind a closing quote"),
    "a long cell": (b"key,value\na," + b"b" * 200_000 + b"\n", "a cell of more than 131072 characters"),
    "zeros": (b"key,value\na,\0\n", ""),
    "one column": (b"key\na\n", "has one column"),
    "nothing": (b"", "is empty"),
}
"""What a table in CSV can hold."""

SCHEMAS = {
    "one that refers to itself": (b'{"$ref": "#"}', ""),
    "one that grows": (b'{"properties": {' + b",".join(b'"a%d": {"$ref": "#"}' % at for at in range(30)) + b"}}", ""),
    "a list of types": (b'{"type": ["object"], "properties": [1]}', ""),
    "a text": (b'"a"', ""),
    "no parts": (b'{"allOf": 5, "anyOf": {}, "oneOf": null}', ""),
}
"""What a JSON Schema can hold; most are of no harm."""


@pytest.fixture
def refused(configured, tmp_path):
    """What `check` says of the configuration of these tests with this behind it."""

    def checked(more):
        path = tmp_path / "bridge.yaml"
        path.write_text(path.read_text() + more)
        with pytest.raises(ConfigurationError) as wrong:
            configured("check")
        return str(wrong.value)

    return checked


def _said(configured, *words):
    """What a command prints, or what is wrong with the configuration."""
    try:
        return configured(*words).output
    except ConfigurationError as wrong:
        return str(wrong)


@pytest.mark.parametrize(("more", "said"), RULES.values(), ids=RULES)
def test_rules_are_refused_with_their_place(refused, more, said):
    assert said in refused(more)


@pytest.mark.parametrize(("make", "said"), ANY.values(), ids=ANY)
def test_every_file_that_is_none_is_said_at_once(refused, tmp_path, make, said):
    for name in ("wrong.csv", "wrong.json"):
        make(tmp_path / name)
    problems = refused("tables: {wrong: wrong.csv}\nfields: {order.new: wrong.json}\n").splitlines()
    assert [["wrong.csv", True], ["wrong.json", True]] == [
        [name, said in problem] for name in ("wrong.csv", "wrong.json") for problem in problems if name in problem
    ]


@pytest.mark.parametrize(("make", "said"), ANY.values(), ids=ANY)
def test_a_configuration_that_is_none_is_said(refused, configured, tmp_path, make, said):
    (tmp_path / "bridge.yaml").unlink()
    make(tmp_path / "bridge.yaml")
    with pytest.raises(
        ConfigurationError, match=r"; (mend it, or name another|name one that is there) with --config"
    ) as wrong:
        configured("check")
    assert said in str(wrong.value)


def test_a_configuration_that_is_not_there_is_said(typed):
    with pytest.raises(ConfigurationError, match=r"No such file.*; name one that is there with --config"):
        typed("check", "--config", "bridge.yml")


@pytest.fixture
def taken(configured, tmp_path):
    """What `check` prints, or refuses, of the configuration with this behind it and a file of these bytes beside it."""

    def checked(more, name, raw):
        path = tmp_path / "bridge.yaml"
        path.write_text(path.read_text() + more)
        (tmp_path / name).write_bytes(raw)
        return _said(configured, "check")

    return checked


@pytest.mark.parametrize(("raw", "said"), TABLES.values(), ids=TABLES)
def test_a_table_is_read_or_refused(taken, raw, said):
    found = taken("tables: {wrong: wrong.csv}\n", "wrong.csv", raw)
    assert "is good" in found or ("wrong.csv" in found and said in found)


@pytest.mark.parametrize(("raw", "said"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_is_read_or_refused(taken, raw, said):
    found = taken("fields: {order.new: wrong.json}\n", "wrong.json", raw)
    assert "is good" in found or ("fields.order.new" in found and said in found)


CASE = "received_at: 2026-11-21T12:00:00Z\ndeliveries: [{topic: orders/create, body: order.json}]\n"


@pytest.fixture
def case(tmp_path):
    """A folder of a case, and in it the delivery of an empty order."""
    folder = tmp_path / "tests" / "wrong"
    folder.mkdir(parents=True)
    (folder / "case.yaml").write_text(CASE)
    (folder / "order.json").write_text("{}")
    return folder


_NO_FILES = {name: each for name, each in ANY.items() if name not in ("Latin-1", "UTF-16")}


@pytest.mark.parametrize("name", ["case.yaml", "order.json"])
@pytest.mark.parametrize(("make", "said"), _NO_FILES.values(), ids=_NO_FILES)
def test_a_case_that_cannot_be_read_is_said(configured, case, name, make, said):
    (case / name).unlink()
    make(case / name)
    if (case / "case.yaml").exists():
        with pytest.raises(ConfigurationError, match=f"tests/wrong/{name}.*{said}"):
            configured("test", "tests")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_case_that_is_not_utf_8_is_said(configured, case, encoding):
    (case / "case.yaml").write_bytes(f"# caf\xe9\n{CASE}".encode(encoding))
    with pytest.raises(ConfigurationError, match=r"tests/wrong/case.yaml: .*save it as UTF-8"):
        configured("test", "tests")


@pytest.mark.parametrize("raw", [b"\xff", b"[" * 100_000, b"{", b"1" * 5_000])
def test_what_was_expected_may_hold_anything(configured, case, raw):
    (case / "expected.json").write_bytes(raw)
    found = _said(configured, "test", "tests")
    assert "not as expected" in found or "expected.json" in found


@pytest.mark.parametrize(("make", "said"), ANY.values(), ids=ANY)
def test_a_secret_whose_file_is_none_is_said(refused, tmp_path, make, said):
    make(tmp_path / "secret")
    path = tmp_path / "bridge.yaml"
    path.write_text(path.read_text().replace("token: env:HELLOTEXT_TOKEN", f"token: file:{tmp_path}/secret"))
    assert said.replace("8 MiB", "64 KiB") in refused("")
