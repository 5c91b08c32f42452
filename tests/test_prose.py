"""The pages read easily: one sentence a line, short sentences, the words of the field."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_GLOBS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/*.md",
    "connectors/**/README.md",
    "helm/*/README.md",
)
PAGES = sorted(str(path.relative_to(ROOT)) for glob in _GLOBS for path in ROOT.glob(glob))
MOST_WORDS = 35
_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)
_NO_PROSE = re.compile(r"^\s*(\||#|<)|^ {4,}(?!\s*([-*]|\d+\.) )")
_ITEM = re.compile(r"^\s*([-*]|\d+\.) ")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|No)\.$")
_END = re.compile(r"(?<=[.!?])[*)\"]* +(?=[A-Z*`\[(\"])")


def passages(text):
    """The paragraphs and list items of a page, each as its lines; without code, tables and headings."""
    lines = []
    for line in [*_BLOCK.sub("", text).splitlines(), ""]:
        if lines and (not line.strip() or _NO_PROSE.match(line) or _ITEM.match(line)):
            yield lines
            lines = []
        if line.strip() and not _NO_PROSE.match(line):
            lines.append(_ITEM.sub("", line).strip())


def spoken(line):
    """A line as it is read aloud: code and a link are one word or its text."""
    line = re.sub(r"`[^`]+`", "`code`", line)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line)


def sentences(line):
    """The sentences in a line."""
    parts = []
    for part in _END.split(spoken(line)):
        if parts and _ABBREVIATION.search(parts[-1]):
            parts[-1] += f" {part}"
        else:
            parts.append(part)
    return parts


def test_the_pages_are_found():
    assert {"README.md", "docs/mapping.md", "connectors/shopify/README.md"} < {*PAGES}


def page_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_a_line_of_prose_holds_one_sentence(page):
    assert [] == [line for lines in passages(page_of(page)) for line in lines if len(sentences(line)) > 1]


@pytest.mark.parametrize("page", PAGES)
def test_a_sentence_is_not_spread_over_lines(page):
    ends = re.compile(r"[.!?:][*)\"]*$")
    assert [] == [line for lines in passages(page_of(page)) for line in lines[:-1] if not ends.search(line)]


@pytest.mark.parametrize("page", PAGES)
def test_no_sentence_is_longer_than_a_reader_can_hold(page):
    told = [sentence for lines in passages(page_of(page)) for sentence in sentences(" ".join(lines))]
    assert [] == [sentence for sentence in told if len(sentence.split()) > MOST_WORDS]


@pytest.mark.parametrize("page", PAGES)
def test_a_default_is_called_a_default(page):
    assert [] == re.findall(r"\bunsaid\b", page_of(page), re.IGNORECASE)


def test_the_sentences_of_a_line_are_told_apart():
    line = "See `a. B`, e.g. [the docs](x. Y.md) etc. No. 5 **is it.** So it is (`x`). `y` too."
    assert ["See `code`, e.g. the docs etc. No. 5 **is it.", "So it is (`code`).", "`code` too."] == sentences(line)


def test_code_tables_and_headings_are_no_prose():
    text = "# One. Two.\n\n| a. B. |\n\n```\nA. B.\n```\n\n- First.\n  Second.\n- Third.\n"
    assert [["First.", "Second."], ["Third."]] == list(passages(text))
