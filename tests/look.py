"""Runs a command of the program and says on stderr what it does inside, for who looks for a fault.

Usage: python -m tests.look WHAT COMMAND...     such as: python -m tests.look rules preview order.json

    sql        each statement; of a SQLite journal with its values
    rules      the Python that each rule was made into
    aiokafka   all that the Kafka client says

It says whole orders: look with made-up ones.
"""

import builtins
import logging
import sqlite3
import sys
from collections.abc import Callable, Mapping

from asyncpg.connection import Connection

from bridge.__main__ import main


def say(text: object) -> None:
    sys.stderr.write(f"{text}\n")


def sql() -> None:
    connect, init = sqlite3.connect, Connection.__init__

    def connected(*where, **how):
        connection = connect(*where, **how)
        connection.set_trace_callback(say)
        return connection

    def made(self, *what, **how):
        init(self, *what, **how)
        self.add_query_logger(lambda query: say(query.query))

    sqlite3.connect, Connection.__init__ = connected, made


def rules() -> None:
    compiled = builtins.compile

    def said(source, name, *more, **how):
        if name == "<rule>":
            say(source)
        return compiled(source, name, *more, **how)

    builtins.compile = said


def aiokafka() -> None:
    log, shown = logging.getLogger("aiokafka"), logging.StreamHandler()
    shown.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    log.setLevel(logging.DEBUG)
    log.addHandler(shown)


LOOKS: Mapping[str, Callable[[], None]] = {look.__name__: look for look in (sql, rules, aiokafka)}


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in LOOKS:
        sys.exit(__doc__)
    LOOKS[sys.argv.pop(1)]()
    main()
