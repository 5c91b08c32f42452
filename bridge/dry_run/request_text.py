"""Requests and verdicts as people read and write them: exact JSON, numbers with the digits that are sent."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bridge.contract import Json, Request
from bridge.dry_run import Verdict
from bridge.mapping.values import exact

_decode: Final = msgspec.json.Decoder(float_hook=exact).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_SPOKEN: Final = {"sent": "would be sent"}
"""Words of a verdict as people read them: nothing was sent, and nobody answered."""

_OF_NO_MATTER: Final = frozenset(("accept", "authorization", "content-length", "content-type", "user-agent"))


def decoded(text: bytes) -> Json:
    """Decode JSON with its numbers exact. Raises msgspec.DecodeError."""
    return _decode(text)


def encoded(value: Json) -> bytes:
    return _encode(value)


def written(value: Json) -> str:
    """Write a value with indents, as it stands in files and in differences."""
    return msgspec.json.format(_encode(value), indent=2).decode() + "\n"


def as_json(verdict: Verdict) -> dict[str, Json]:
    """A verdict as JSON. Keys without a value are left out, and so are headers that hold a secret."""
    told: dict[str, Json] = {
        "destination": verdict.destination,
        "rule": verdict.rule,
        "fact": verdict.fact,
        "once": "" if verdict.once == "[]" else verdict.once,
        "verdict": str(verdict.word),
        "why": verdict.why,
        "left out": verdict.left_out,
        "shown": verdict.shown,
        "requests": requests_of(verdict),
    }
    return {name: value for name, value in told.items() if value}


def requests_of(verdict: Verdict) -> list[Json]:
    """The requests as JSON, without headers that hold a secret."""
    return [_request(each) for each in verdict.requests]


def _request(request: Request) -> dict[str, Json]:
    told: dict[str, Json] = {"method": request.method, "url": request.url}
    if headers := _that_matter(request):
        told["headers"] = headers
    if request.body is not None and not request.is_body_secret:
        told["body"] = _body(request.body)
    return told


def _body(body: bytes) -> Json:
    try:
        return decoded(body)
    except ValueError:
        return body.decode(errors="backslashreplace")


def _scalar(value: Json) -> str:
    return value if isinstance(value, str) else written(value).rstrip("\n")


def _that_matter(request: Request) -> Mapping[str, str]:
    left_out = _OF_NO_MATTER | request.secret_headers
    return {name: text for name, text in request.headers.items() if name.lower() not in left_out}


def lines(verdicts: Sequence[Verdict], *, indent: str = "  ") -> Sequence[str]:
    """Write the verdicts as lines for a terminal."""
    out: list[str] = []
    for verdict in verdicts:
        of = " ".join(name for name in (verdict.rule, verdict.fact) if name)
        why = f" ({verdict.why})" if verdict.why else ""
        out.append(f"{indent}{of}{': ' if of else ''}{_SPOKEN.get(verdict.word, verdict.word)}{why}")
        out += [f"{indent}  left out: {reason}" for reason in verdict.left_out]
        out += [f"{indent}  {label}: {_scalar(value)}" for label, value in verdict.shown.items()]
        for request in verdict.requests:
            out.append(f"{indent}  {request.method} {request.url}")
            if request.body is not None and not request.is_body_secret:
                text = written(_body(request.body)).rstrip("\n")
                out += [f"{indent}    {line}" for line in text.splitlines()]
    return out
