"""Halves of surrogate pairs in JSON."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.surrogates import decoded, without_halves

texts = st.text(st.characters(codec=None, categories=None) | st.sampled_from("\\u\ud83d\ude00d8"), max_size=12)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (rb'"nice \ud83d"', "nice \ufffd"),
        (rb'"\uDE00"', "\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83dA\u0041"', "\ufffdAA"),
        (rb'"\ud83d\n"', "\ufffd\n"),
        (rb'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'"\\ud83d\ude00"', "\\ud83d\ufffd"),
    ],
)
def test_half_of_a_pair_is_read_as_the_sign_for_what_is_no_character(written, meant):
    assert meant == decoded(msgspec.json.decode, written)


@given(st.dictionaries(texts, texts | st.lists(texts)))
def test_what_python_writes_of_any_text_is_read(document):
    written = json.dumps(document).encode()
    meant = json.loads(json.dumps(document), object_pairs_hook=lambda pairs: {_whole(k): _whole(v) for k, v in pairs})
    assert meant == decoded(msgspec.json.decode, written)


def _whole(value):
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value


def test_a_document_without_halves_stays_the_very_same():
    raw = rb'{"a": "\ud83d\ude00 \\ud83d"}'
    assert raw is without_halves(raw)


def test_what_is_no_json_is_refused_as_before():
    with pytest.raises(msgspec.DecodeError):
        decoded(msgspec.json.decode, rb'{"a": "\ud83d"')


def test_runs_of_backslashes_and_of_halves_are_no_burden():
    assert b"\\" * 1_000_001 == without_halves(b"\\" * 1_000_001)
    halves = rb"\ud83d" * 1_000_000
    assert halves is without_halves(halves), "too many to be looked at"
