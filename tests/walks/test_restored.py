"""A backup that is restored sends nothing that may not be repeated: a person decides, by the commands."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

from bridge.contract import State
from bridge.journal import Selection
from tests.processes import ROOT
from tests.walks.processes import an_order


async def _command(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bridge",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode, (out + error).decode()


async def test_what_waited_when_the_backup_was_made_is_not_sent_again_by_itself(
    running, settings_for, sandbox, tmp_path
):
    repeatable, with_buyer = an_order(with_buyer=True)
    unrepeatable, without = an_order(with_buyer=False)
    backup, second = tmp_path / "a.backup", tmp_path / "restored.db"
    async with running() as bridge:
        await bridge.fail(path="/v1/profiles", status=503)
        await bridge.fail(path="/v1/attribution/events", status=429)
        await bridge.post(with_buyer)
        await bridge.post(without)
        code, said = await _command("journal", "backup", str(backup), "--journal", str(bridge.settings.journal.path))
        assert code == 0, said
        assert "2 orders, 2 documents" in said
        await bridge.recover()
        await bridge.settled(repeatable)
        await bridge.settled(unrepeatable)
    code, said = await _command("journal", "import", str(backup), "--journal", str(second))
    assert (code, second.exists()) == (1, False)
    assert "use `journal restore`" in said
    code, said = await _command("journal", "restore", str(backup), "--journal", str(second))
    assert code == 0, said
    assert "counts and digests agree" in said
    await _speak_for_what_is_in_doubt(running, settings_for(sandbox, path=second), repeatable, unrepeatable)


async def _speak_for_what_is_in_doubt(running, settings, repeatable, unrepeatable):
    async with running(settings) as bridge:
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await _settled(bridge, repeatable)
        assert {"order.placed": "uncertain", "order.confirmed": "uncertain"} == await _settled(bridge, unrepeatable)
        journal = bridge.house.journal
        facts = [fact async for fact in journal.parked(Selection(state=State.UNCERTAIN))]
        # One may have been marked at the very moment of the backup.
        assert {"restored", "ended in flight"} >= {fact.reason for fact in facts}
        sent = [event for event in await bridge.received() if event["body"].get("session") and event["status"] == 200]
        of_it = [event for event in sent if event["body"]["object_parameters"]["reference"] == unrepeatable]
        assert 2 == len(of_it), "once for each fact, before the restore"
        await journal.resend([fact.ref for fact in facts])
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await _settled(bridge, unrepeatable)


def _with_refunds(body, *numbers, at, note=""):
    """The order as it is after these refunds."""
    refunds = [
        {
            "id": number,
            "created_at": at.isoformat(),
            "processed_at": at.isoformat(),
            "transactions": [{"kind": "refund", "status": "success", "amount": "5.00", "currency": "EUR"}],
        }
        for number in numbers
    ]
    updated = datetime.now(UTC) + timedelta(minutes=len(numbers))
    changes = {"refunds": refunds, "financial_status": "partially_refunded", "note": note}
    changes["updated_at"] = updated.isoformat()
    return json.dumps({**json.loads(body), **changes}).encode()


async def _refunds(bridge):
    return [event["status"] for event in await bridge.received() if event["body"]["action"] == "refund.received"]


async def test_what_was_sent_after_the_backup_is_not_sent_again_by_itself(running, settings_for, sandbox, tmp_path):
    number, body = an_order(with_buyer=True)
    backup, second = tmp_path / "a.backup", tmp_path / "restored.db"
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        await _command("journal", "backup", str(backup), "--journal", str(bridge.settings.journal.path))
        before = datetime.now(UTC)
        await bridge.post(_with_refunds(body, 1, at=before), topic="orders/updated")
        await bridge.settled(number)
        later, unknown = an_order(with_buyer=False)
        await bridge.post(unknown)
        await bridge.settled(later)
        assert [200] == await _refunds(bridge)
    await _command("journal", "restore", str(backup), "--journal", str(second))
    async with running(settings_for(sandbox, path=second)) as bridge:
        await bridge.post(_with_refunds(body, 1, at=before, note="edited"), topic="orders/updated")
        assert "uncertain" == (await _settled(bridge, number))["refund.received"]
        await bridge.post(unknown, topic="orders/updated")
        assert {"uncertain"} == set((await _settled(bridge, later)).values()), "an order that came after the backup"
        after = datetime.now(UTC) + timedelta(seconds=1)
        newer = _with_refunds(body, 2, at=after)
        await bridge.post(newer, topic="orders/updated")
        await bridge.settled(number)
        assert [200, 200] == await _refunds(bridge), "what happened after the restore is sent"
        parked = [fact async for fact in bridge.house.journal.parked(Selection(state=State.UNCERTAIN))]
        assert {"restored"} == {fact.reason for fact in parked}


async def _settled(bridge, number):
    await bridge.settled(number)
    return await bridge.states(number)
