"""Programs under test: started on the first core, with load and sink on the last, and asked what they used."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
_TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Program:
    """A running process."""

    process: subprocess.Popen
    port: int

    def cpu(self) -> float:
        """Seconds of processor time so far, user and system, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def written(self) -> int:
        """Bytes that it has caused to be written to a disk."""
        told = Path(f"/proc/{self.process.pid}/io").read_text()
        return int(told.partition("write_bytes: ")[2].split()[0])

    def memory(self) -> float:
        """MiB at the most so far."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(told.partition("VmHWM:")[2].split()[0]) / 1024

    def switches(self) -> int:
        """How often its threads woke of themselves."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((t / "status").read_text().partition("voluntary_ctxt_switches:")[2].split()[0]) for t in tasks)


@contextmanager
def running(
    arguments: Sequence[str], *, port: int, core: int, environ: dict[str, str] | None = None
) -> Iterator[Program]:
    """A Python program that listens at the port; it is up when the block begins."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {CORES[core]}) if len(CORES) > 1 else None,  # noqa: PLW1509
    )
    try:
        _await_port(process, port)
        yield Program(process, port)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def _await_port(process: subprocess.Popen, port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise RuntimeError(f"{process.args} does not listen at {port}")


def load(port: int, path: str, count: int, *, connections: int = 64) -> dict[str, float]:
    """Send so many orders; rate, p50 and p99."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", str(port), path, str(count), str(connections)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {CORES[-1]}) if len(CORES) > 1 else None,
    )
    return json.loads(done.stdout)


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()
