"""The private port answers under names that nobody else can let lead to it."""

from dataclasses import replace

import pytest

from bridge.intake.status import is_ours


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:9090", "localhost", "LOCALHOST.:9090", "[::1]:9090", "10.1.2.3", "bridge-private:9090", "",
     "bridge-private.shop.svc:9090", "b.shop.svc.cluster.local", "ip-10-0-0-1.ec2.internal", "[fe80::1%25eth0]:1"],
)  # fmt: skip
def test_addresses_and_names_of_the_own_network_are_ours(host):
    assert is_ours(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9090", "127.0.0.1.evil.example", "localhost.evil.example", "svc.evil.example",
     "notlocal.example.local.evil", "[evil.example]", "[::1]evil.example", "127.0.0.1@evil.example:9090", "1.2.3"],
)  # fmt: skip
def test_names_that_a_stranger_can_own_are_not(host):
    assert not is_ours(host)


async def test_a_page_of_a_stranger_reads_nothing(running, settings_for, sandbox):
    settings = settings_for(sandbox)
    named = replace(settings, private=settings.private.model_copy(update={"hosts": ["Metrics.Example"]}))
    async with running(named) as bridge:

        async def status(path, host):
            async with bridge.session.get(bridge.private + path, headers={"Host": host}) as answer:
                return answer.status, await answer.text()

        for path in ("/metrics", "/status", "/status?source=shop&id=1"):
            code, said = await status(path, "evil.example:9090")
            assert (421, True) == (code, "private: {hosts: [...]}" in said)
            for ours in ("localhost:9090", "127.0.0.1", "metrics.example:9090"):
                assert 421 != (await status(path, ours))[0]
        assert (200, 200) == ((await status("/healthz", "lb.example"))[0], (await status("/readyz", "lb.example"))[0])
