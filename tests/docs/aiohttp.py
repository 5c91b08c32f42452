"""docs/aiohttp.md from what bridge/fast_path.py looks for."""

from collections.abc import Iterator, Sequence

from bridge.fast_path import CONNECTIONS, WIRE, Inside

_TOP = """# aiohttp

`make docs` makes this page from the program.

The bridge uses aiohttp for connections to its door and for requests to destinations.
Two modules use the inside of aiohttp, because its public interface costs more.
aiohttp may change its inside in any version.
So each of them has a twin that uses the public interface only.

The range is `>=3.14.4,<4`.
3.14.4 is the first version that has all that the fast door needs.
With 3.14.0 a request that comes right behind one that asks for another protocol is not answered.
The tests that speak bytes were run with 3.14.5, and those of the door with 3.14.4 too.

| | Fast | Twin | Setting |
| --- | --- | --- | --- |
| requests to destinations | `bridge/delivery/wire.py` | `bridge/delivery/plain_wire.py` | `delivery: {fast: false}` |
| connections to the door | `bridge/intake/connections.py` | `bridge/intake/plain_connections.py` | `door: {fast: false}` |

Tasks that ask a platform (subscriptions, reconciliation, accounts) always use the twin.

## What happens at the start

`run` looks for each name in the lists below before it opens the door.
It compares the parameters of what it calls and of what it replaces.
Then it sends itself a few requests over each fast part, which takes about 5 ms.
If something is missing or fails, `run` uses the twin and logs the event `fast_path.missing` as a warning.
The event says what is missing, and in which version of aiohttp.
The bridge keeps its promises on both ways, but for what stands under "What the twins do otherwise".

## What the twins cost

[performance.md](performance.md#fast-parts-and-their-twins) has the figures.

## What the twins do otherwise

| What | Fast | Twin |
| --- | --- | --- |
| a chunked body that is not framed as HTTP says, with the C parser of aiohttp | is answered 400 at once | is answered 408 when `answer_within` is nearly over, for the public interface does not tell the error |
| headers that grow beyond `max_headers`, behind another request that was sent before its answer | each line and the number of lines is bounded by aiohttp | the same; the sum is bounded for requests that are sent one after the other |
| a connection that is lost between its choice and the first byte of a request | another one is chosen | the answer is lost: a request that may not be repeated becomes uncertain |

## How the twins stay safe

The twins use documented parts only: `ClientSession`, its middlewares, `TCPConnector.connect`, `web.Server`, and the transports and protocols of asyncio.

- **A request is sent once.**
  `ClientSession` repeats a GET, PUT or DELETE if its connection is lost.
  A middleware stops the second try, so no request is sent twice.
- **An answer belongs to its request.**
  A protocol of the bridge stands between the transport and aiohttp, and sees each byte.
  A connection on which something comes that nobody asked for is not used again.
- **A no counts by its status.**
  The same protocol keeps the first bytes of an answer, so its status is known if the rest cannot be read.
- **The door answers in its own words.**
  A transport of the bridge stands before the real one.
  It writes the answer of the door wherever aiohttp writes one.
- **Slow senders are closed.**
  The same watch closes connections that do not send the rest of their headers within 5 s.

## How to take a new version of aiohttp

1. Read the changelog of aiohttp for the names in the lists below.
2. Install the version: `.venv/bin/pip install aiohttp==VERSION`.
3. Run `make test ARGS="tests/test_fast_path.py"`.
   It says each name that is gone, and each that has other parameters.
4. Change the fast part and its list in `bridge/fast_path.py`, or leave it: the twin works meanwhile.
5. Run `make test ARGS="tests/delivery tests/intake tests/walks"`.
   These tests run over both ways, byte by byte.
6. Run `make lint`, and `python -m tests.bench aiohttp` if a fast part was changed.
7. `make docs` makes this page again.

No other module may import the inside of aiohttp: `make lint` refuses it.
"""
_LISTS = (
    ("What requests need of the inside", "bridge/delivery/wire.py", WIRE),
    ("What the door needs of the inside", "bridge/intake/connections.py", CONNECTIONS),
)


def page() -> str:
    return _TOP + "".join(_list(title, module, needed) for title, module, needed in _LISTS)


def _list(title: str, module: str, needed: Sequence[Inside]) -> str:
    rows = "\n".join(f"| `{each.name}` | {'; '.join(_said(each))} |" for each in needed)
    return f"\n## {title}\n\nThis is what `{module}` needs.\n\n| Name | What of it |\n| --- | --- |\n{rows}\n"


def _said(inside: Inside) -> Iterator[str]:
    if inside.names:
        yield ", ".join(f"`{name}`" for name in inside.names)
    for method, parameters in (inside.takes or {}).items():
        yield f"call of {f'`{method}`' if method else 'the class'} with {_listed(parameters)}"
    for method, parameters in (inside.replaces or {}).items():
        yield f"own `{method}({', '.join(parameters)})`"
    if not (inside.names or inside.takes or inside.replaces):
        yield "the class"


def _listed(parameters: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in parameters)
