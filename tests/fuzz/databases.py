"""A server of Postgres for all trials of a process."""

import atexit
import os
import shutil
import signal
from contextlib import suppress
from functools import cache

from tests.postgres import PostgresServer, open_folder


@cache
def postgres():
    """The address of a real server: POSTGRES_URL, else one that is started, once; None where there is none to be
    had."""
    if url := os.environ.get("POSTGRES_URL"):
        return url
    folder = open_folder("fuzz-postgres-")
    try:
        server = PostgresServer(folder)
    except ImportError:
        shutil.rmtree(folder)
        return None

    def end():
        with suppress(Exception):
            server.signal(signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return server.dsn
