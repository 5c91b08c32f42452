"""A wheel in an empty environment, and one order from its door to its stand-in of the API."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = "attribution-bridge"
PATIENCE = 30.0  # seconds
CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}"}}
journal: {{path: journal.db}}
door: {{host: 127.0.0.1, port: {door}}}
private: {{port: {private}}}
include: [shopify/default]
"""


class NotDelivered(Exception):
    """The wheel could not be installed, or the order did not arrive: the text says what was said instead."""


def pythons() -> Mapping[str, Path | None]:
    """The versions that the project names, and where each is: on the PATH, else where pyenv keeps its versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = [line.rpartition(" ")[2] for line in project["classifiers"] if " :: Python :: 3." in line]
    return {version: next(_found(version), None) for version in versions}


def _found(version: str) -> Iterator[Path]:
    """A name on the PATH may be pyenv's, and lead nowhere."""
    named = shutil.which(f"python{version}")
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for path in [*([Path(named)] if named else []), *sorted(kept.glob(f"{version}.*/bin/python"), reverse=True)]:
        if subprocess.run([path, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            yield path


def delivered(wheel: Path, python: Path) -> str:
    """What became of the order, in words. Raises NotDelivered."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        _run([python, "-m", "venv", folder / "env"], folder)
        _run([folder / "env/bin/python", "-m", "pip", "install", "--quiet", wheel], folder)
        program = folder / "env/bin" / PROGRAM
        sandbox, door, private = _free_ports(3)
        url = f"http://127.0.0.1:{sandbox}"
        (folder / "bridge.yaml").write_text(CONFIG.format(url=url, door=door, private=private))
        stack.enter_context(_running([program, "sandbox", "hellotext", "--port", str(sandbox)], folder))
        _answers(f"{url}/received", folder)
        stack.enter_context(_running([program, "run"], folder))
        _answers(f"http://127.0.0.1:{private}/readyz", folder)
        ended = ["--settled", f"http://127.0.0.1:{private}", "--within", str(PATIENCE)]
        _run([program, "send", "--example", "order", "--fresh", *ended], folder)
        return _told(program, url, folder)


def _told(program: Path, url: str, folder: Path) -> str:
    with urllib.request.urlopen(f"{url}/received", timeout=PATIENCE) as answer:
        lines = [json.loads(line) for line in answer.read().splitlines()]
    sent = [line["body"] for line in lines if line["path"] == "/v1/attribution/events"]
    (number,) = {event["object_parameters"]["reference"] for event in sent}
    facts = json.loads(_run([program, "orders", "show", number, "--json"], folder))[0]["facts"]
    states = {fact["fact"]: fact["state"] for fact in facts}
    if {"delivered"} != set(states.values()):
        raise NotDelivered(f"orders show {number} says {states}")
    version = json.loads(_run([program, "version", "--json"], folder))[PROGRAM]
    return f"version {version}, order {number}: {', '.join(states)} delivered"


def _environ() -> dict[str, str]:
    """Of the shell that the commands are typed in: nothing that leads to the checkout."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COVERAGE"))}
    return {**kept, "SHOPIFY_SECRET": "made-up", "HELLOTEXT_TOKEN": "made-up"}


def _run(words: Sequence[str | Path], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, env=_environ(), capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise NotDelivered(f"{' '.join(map(str, words[:4]))} ended with {done.returncode}: {said}")
    return done.stdout


@contextmanager
def _running(words: Sequence[str | Path], folder: Path) -> Iterator[None]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(words, cwd=folder, env=_environ(), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(url: str, folder: Path) -> None:
    """Waits until an address answers with 200."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
        except urllib.error.URLError:
            time.sleep(0.05)
        else:
            return
    raise NotDelivered(f"{url} did not answer within {PATIENCE:.0f} seconds: {(folder / 'log').read_text()[-1500:]}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
