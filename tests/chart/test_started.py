"""The program as the manifests start it: installed by the Dockerfile's steps into a clean folder, with the arguments,
files, environment and working directory of the rendered pods, and (as root) with a root file system that is read-only
but for their volumes.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.chart.conftest import only
from tests.chart.generated import CHART
from tests.postgres import new_place

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HOME = "/run/secrets/attribution-bridge"


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """What the build stage makes, from the files that the image gets; the program's path."""
    folder = tmp_path_factory.mktemp("image")
    for name in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE):
        for part in name.split():
            take = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            take(ROOT / part, folder / part)
    (step,) = re.findall(r"^RUN (python -m venv .+)$", DOCKERFILE, flags=re.MULTILINE)
    target = folder / "opt"
    command = step.replace("python -m venv", f"{sys.executable} -m venv").replace("/opt/bridge", str(target))
    subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, timeout=600)
    return target / "bin" / "attribution-bridge"


def test_nothing_that_builds_is_left(installed):
    there = {path.name for path in installed.parent.iterdir()}
    assert "attribution-bridge" in there
    assert not {"pip", "pip3", "gcc"} & there


def test_the_image_starts_the_program_itself_as_nobody():
    assert '\nENTRYPOINT ["attribution-bridge"]\n' in DOCKERFILE
    assert '\nCMD ["run", "--config", "/etc/attribution-bridge/bridge.yaml"]\n' in DOCKERFILE
    assert "\nUSER 65532:65532\n" in DOCKERFILE


READ_ONLY = """
mount --make-rprivate /
for folder in $WRITABLE; do mount --bind "$folder" "$folder"; done
mount -o remount,bind,ro /
cd "$PWD"
exec "$@"
"""


def _read_only_root(writable):
    """What runs a command with a root file system that is read-only but for these folders; nothing for who may not."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return [], {}
    names = " ".join(map(str, writable))
    probe = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", READ_ONLY, "sh", "true"], env={**os.environ, "WRITABLE": names}, check=False
    )
    return ([], {}) if probe.returncode else (["unshare", "--mount", "sh", "-ec", READ_ONLY, "sh"], {"WRITABLE": names})


class Pod:
    """A container of a rendered manifest, its mounts in a folder."""

    def __init__(self, spec, objects, program, folder, secrets):
        (self._container,) = spec["containers"]
        self._spec, self._program, self._folder = spec, program, folder
        maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
        self._mounts = {mount["mountPath"]: folder / mount["name"] for mount in self._container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        for path in self._mounts.values():
            path.mkdir(exist_ok=True)
            files = maps.get(volumes.get(path.name, {}).get("configMap", {}).get("name"), {})
            for name, text in files.items():
                (path / name).write_text(self.local(text))
        for name, text in secrets.items():
            (folder / "secrets" / name).write_text(text)

    def local(self, text):
        """The pod's paths, as they are here."""
        mounts = "|".join(re.escape(mount) for mount in sorted(self._mounts, reverse=True))
        return re.sub(rf"(?<![\w./-])({mounts})", lambda found: str(self._mounts[found[1]]), text)

    async def started(self, **environ):
        """Arguments and working directory of the manifest; a clean environment."""
        prefix, more = _read_only_root(folder for folder in self._mounts.values() if folder.name in ("tmp", "journal"))
        given = {"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", **more, **environ}
        return await asyncio.create_subprocess_exec(
            *prefix,
            self._program,
            *(self.local(argument) for argument in self._container["args"]),
            cwd=self.local(self._container["workingDir"]) if "workingDir" in self._container else self._folder,
            env=given,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


def _ports(unused_tcp_port_factory):
    return {"door": unused_tcp_port_factory(), "private": unused_tcp_port_factory()}


def _values(ports, sandbox):
    given = [f"config.door.port={ports['door']}", f"config.private.port={ports['private']}"]
    given += [f"config.destinations.hellotext.url={sandbox}", "config.destinations.hellotext.mode=live"]
    return [part for value in given for part in ("--set", value)]


async def _ready(port, process):
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while process.returncode is None:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
    raise AssertionError((await process.stdout.read()).decode())


async def _run_to_its_end(pod):
    process = await pod.started()
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def _walked(objects, workload, program, folder, secrets, ports, sandbox):
    """The pod starts, takes an order to the sandbox and the chart's own test order to its end, and stops in peace."""
    spec = only(objects, workload)["spec"]["template"]["spec"]
    pod = Pod(spec, objects, program, folder, secrets)
    process = await pod.started()
    reading = None
    try:
        await _ready(ports["private"], process)
        reading = asyncio.create_task(process.stdout.read())
        test = Pod(only(objects, "Pod")["spec"], objects, program, folder, secrets)
        for name in ("args",):
            test._container[name] = [
                re.sub(r"http://shop-attribution-bridge(-private)?:\d+", lambda m: _here(m[1], ports), argument)
                for argument in test._container[name]
            ]
        assert "test order" in await _run_to_its_end(test)
        real = list(test._container["args"])
        real[real.index("test-order")], real[real.index("test order")] = "order", "delivered"
        test._container["args"] = real
        await _run_to_its_end(test)
        async with aiohttp.ClientSession() as session, session.get(f"{sandbox}/received") as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        events = [line["body"]["action"] for line in lines if line["path"] == "/v1/attribution/events"]
        assert ["order.placed", "order.confirmed"] == events
    finally:
        process.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.wait_for(process.wait(), 30), (await reading) if reading else ""
    return pod


def _here(private, ports):
    return f"http://127.0.0.1:{ports['private' if private else 'door']}"


async def test_the_sqlite_shape_takes_an_order_to_the_api(
    rendered, installed, sandbox, tmp_path, unused_tcp_port_factory
):
    ports = _ports(unused_tcp_port_factory)
    objects = rendered("sqlite", *_values(ports, sandbox))
    secrets = {"shopify": "s", "hellotext": "t"}
    job = only(objects, "Job")["spec"]["template"]["spec"]
    assert "is good" in await _run_to_its_end(Pod(job, objects, installed, tmp_path, secrets))
    await _walked(objects, "StatefulSet", installed, tmp_path, secrets, ports, sandbox)
    assert (tmp_path / "journal" / "var" / "journal.db").exists()


async def test_the_postgres_shape_takes_an_order_to_the_api(
    rendered, installed, sandbox, tmp_path, unused_tcp_port_factory, postgres_server
):
    ports = _ports(unused_tcp_port_factory)
    place = await asyncio.to_thread(new_place, postgres_server)
    schema = ["--set", f"config.journal.schema={place.schema}_chart"]
    objects = rendered("postgres", *_values(ports, sandbox), *schema)
    secrets = {"shopify": "s", "hellotext": "t", "database": place.dsn}
    jobs = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Job"}
    for name, said in (("check", "is good"), ("init", "made: postgres")):
        job = jobs[f"shop-attribution-bridge-{name}"]
        assert said in await _run_to_its_end(Pod(job, objects, installed, tmp_path, secrets))
    await _walked(objects, "Deployment", installed, tmp_path, secrets, ports, sandbox)


async def test_the_check_job_refuses_a_wrong_configuration(rendered, installed, tmp_path):
    objects = rendered("sqlite", "--set", "config.include[0]=shopify/nothing")
    job = only(objects, "Job")["spec"]["template"]["spec"]
    pod = Pod(job, objects, installed, tmp_path, {"shopify": "s", "hellotext": "t"})
    process = await pod.started()
    out, _ = await process.communicate()
    assert process.returncode == 2
    assert b"no such rules" in out


def test_the_manifests_mount_what_the_configuration_names(rendered):
    given = yaml.safe_load((CHART / "ci" / "sqlite-values.yaml").read_text())
    assert HOME in json.dumps(given)
    pod = only(rendered("sqlite"), "StatefulSet")["spec"]["template"]["spec"]
    assert HOME in {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
