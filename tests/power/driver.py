"""Starts commands one after another or beside each other, as children of one traced process.

Each line of standard input is a command: {"name": "...", "words": [...], "environ": {...}, "log": "file"}. It is
answered by {"started": name, "process": number}. When the command has ended, a line says {"ended": name, "code": code}.
The same lines go into the log that is named on the command line, where the trace shows them among all else.

The words are those of `python`: `-m bridge ...` or `-c ...`. A command is a process of its own, forked from this one,
which has imported the program already: most of what a tracer costs is the start of Python.
"""

import importlib
import json
import os
import pkgutil
import runpy
import select
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

_PAUSE = 0.005  # seconds between two looks at what has ended


def _say(log: int, **what: object) -> None:
    line = (json.dumps(what) + "\n").encode()
    os.write(log, line)
    os.write(1, line)


def _import_all() -> None:
    for name in ("bridge", "connectors"):
        for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def _forked(asked: Mapping[str, Any], log: int) -> int:
    """Fork. In the parent: the child's number. In the child: 0, and its standard streams are the command's."""
    child = os.fork()
    if child == 0:
        os.close(log)
        nothing, output = (
            os.open(os.devnull, os.O_RDONLY),
            os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        )
        for own, standard in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(own, standard)
        os.environ.update(asked["environ"])
    return child


def _look(log: int, running: dict[int, str]) -> None:
    """Say what has ended."""
    while running:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        _say(log, ended=running.pop(child), code=os.waitstatus_to_exitcode(status))


def _serve(log: int) -> Sequence[str]:
    """Serve until standard input ends. In a child: return the words that it is to run."""
    running: dict[int, str] = {}
    rest = b""
    while True:
        _look(log, running)
        if not select.select([0], [], [], _PAUSE)[0]:
            continue
        if not (data := os.read(0, 65_536)):
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            _say(log, begun=asked["name"])
            if (child := _forked(asked, log)) == 0:
                return list(asked["words"])
            running[child] = asked["name"]
            _say(log, started=asked["name"], process=child)
    while running:
        _look(log, running)
        time.sleep(_PAUSE)
    return ()


def main() -> None:
    _import_all()
    words = _serve(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    if words[:1] == ["-m"]:
        sys.argv = list(words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words:
        sys.argv = ["-c", *words[2:]]
        exec(words[1], {"__name__": "__main__"})


main()
