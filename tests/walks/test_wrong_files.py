"""Whatever files a configuration names, a reload refuses them with a sentence, and the running bridge goes on."""

import os

import pytest

from bridge.config import read_file
from bridge.errors import ConfigurationError
from tests.walks.test_reload import reloadable, rules_of, until_refused, written  # noqa: F401 - fixtures

RULE = """
rules:
  mine:
    for: order
    to: hellotext
    fact: mine
    at: = order.created_at
    let: {%s}
    give: {action: order.placed, session: = order.name}
"""


def _steps(count, step):
    names = ["order.id", *(f"n{number}" for number in range(count))]
    return RULE % ", ".join(f'n{number}: "= {step % names[number]}"' for number in range(count))


def _folder(path):
    path.mkdir()


def _written(raw):
    return lambda path: path.write_bytes(raw)


TABLE = "tables: {skus: skus.csv}\n"
SCHEMA = "fields: {order.extra: order.json}\n"
INCLUDED = "include: [shopify/default, more.yaml]\n"
WRONG = {
    "names of 250 steps": (_steps(250, "%s + 1"), "", None, "nested deeper than 60 levels"),
    "names each twenty deep": (_steps(20, "((((((((((%s" + " + 1)" * 10), "", None, "nested deeper than 60 levels"),
    "names that double": (_steps(60, "%s + 0 * order.id" + " + order.id" * 100), "", None, "nested deeper|too long"),
    "a quote that is not closed": (TABLE, "skus.csv", _written(b'a,b\n"c,d\n'), "a quote is opened and not closed"),
    "text behind a quote": (TABLE, "skus.csv", _written(b'a,b\n"c"d,e\n'), "text stands behind a closing quote"),
    "a cell without end": (TABLE, "skus.csv", _written(b"a,b\nc," + b"x" * 200_000), "a cell of more than"),
    "a table in Latin-1": (TABLE, "skus.csv", _written("a,b\nc,é\n".encode("latin-1")), "not UTF-8 text .line 2."),
    "a table in UTF-16": (TABLE, "skus.csv", _written("a,b\nc,d\n".encode("utf-16")), "it is UTF-16"),
    "a table that is a folder": (TABLE, "skus.csv", _folder, "it is a folder"),
    "a table that is a pipe": (TABLE, "skus.csv", os.mkfifo, "it is no regular file"),
    "a table beyond all bounds": (TABLE, "skus.csv", _written(b"a,b\n" + b"c,d\n" * 2_200_000), "more than 8 MiB"),
    "rules in Latin-1": (INCLUDED, "more.yaml", _written("# é\n".encode("latin-1")), "not UTF-8 text"),
    "rules that are a folder": (INCLUDED, "more.yaml", _folder, "it is a folder"),
    "rules nested without end": (INCLUDED, "more.yaml", _written(b"[" * 100_000), "nested deeper than"),
    "rules of a million values": (INCLUDED, "more.yaml", _written(b"- a\n" * 1_000_000), "values"),
    "a schema of itself": (
        SCHEMA,
        "order.json",
        _written(b'{"allOf": [' + b",".join([b'{"$ref": "#"}'] * 12) + b"]}"),
        None,
    ),
}


@pytest.fixture(params=WRONG, ids=lambda name: name.replace(" ", "-"))
def wrong(request, written, tmp_path):  # noqa: F811
    """Text of a configuration with a wrong file beside it, and what is said of it."""
    more, name, make, said = WRONG[request.param]
    base = written.text
    if "include:" in more:
        base = base.replace("include: [shopify/default]\n", "")
    if make is not None:
        make(tmp_path / name)
        more = more.replace(name, str(tmp_path / name))
    return base, more, said


def test_a_wrong_file_is_a_problem_with_its_place(wrong, written):  # noqa: F811
    base, more, said = wrong
    path = written(more, base=base)
    if said is None:
        read_file(path)
        return
    with pytest.raises(ConfigurationError, match=said) as refused:
        read_file(path)
    assert all(problem.file for problem in refused.value.problems)


async def test_a_running_bridge_refuses_it_and_goes_on(wrong, reloadable, written, order):  # noqa: F811
    base, more, said = wrong
    async with reloadable() as bridge:
        written(more, base=base)
        if said is not None:
            await until_refused(bridge)
        number, body = order()
        assert (200, "") == await bridge.post(body)
        await bridge.settled(number)
        assert 1 == (await rules_of(bridge))["generation"] or said is None


async def test_a_bug_in_reading_a_file_is_told_of_and_refused(reloadable, written, order, log, monkeypatch):  # noqa: F811
    def broken(_path, **_more):
        raise ZeroDivisionError("with a word that nobody shall read")

    async with reloadable() as bridge:
        monkeypatch.setattr("bridge.reload.read_file", broken)
        written("# changed\n")
        assert "ZeroDivisionError while reading it" in await until_refused(bridge)
        number, body = order()
        await bridge.post(body)
        await bridge.settled(number)
    (told,) = [line for line in log() if line["event"] == "reload.failed"]
    assert ("error", "ZeroDivisionError") == (told["level"], told["problem"])
    assert "nobody shall read" not in str(log())
