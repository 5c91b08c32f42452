"""Jobs inside `run`: a look at each shop's subscriptions, and a reconciliation, each when it is due.

The journal gives a job to one of all replicas, and not again after every restart. A job that fails is logged, and tried
again soon.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from bridge import clock
from bridge.config import Settings
from bridge.errand import Admin
from bridge.errors import ErrandFailed, JournalError
from bridge.jobs.compliance import Compliance, paused_mark
from bridge.jobs.errands import ErrandRunner, performing
from bridge.jobs.reconciliation import Reconciliation, Tally
from bridge.journal import Journal
from bridge.mapping.rulebook import Rulebook
from bridge.registry import admin_of
from bridge.telemetry import emit

_AGAIN_AFTER_FAILURE = timedelta(minutes=5)
_LONGEST_SLEEP = timedelta(minutes=15)
_NONE = timedelta()
_COMPLY_AGAIN = 60.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One job that is done again and again. Its name is the one under which the journal gives it. `paused` is the name
    of the mark that stops it."""

    name: str
    paused: str
    every: timedelta
    work: Callable[[], Awaitable[None]]


def admins(settings: Settings) -> Mapping[str, Admin]:
    """Source to its errands, where there is a tenant that may be asked. Loads blocking packages."""
    found: dict[str, Admin] = {}
    for name, source in settings.sources.items():
        made = admin_of(settings.connectors[name])
        admin: Admin | None = made(name, source) if made is not None else None
        if admin is not None and admin.tenants():
            found[name] = admin
    return found


@dataclass(slots=True, kw_only=True)
class Upkeep:
    """The scheduled work of one process."""

    settings: Settings
    journal: Journal
    book: Rulebook
    _failed: dict[str, datetime] = field(default_factory=dict)
    _instructed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Wake the job: a document came that instructs the bridge itself."""
        self._instructed.set()

    async def run(self) -> None:
        """Run all jobs, without end."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._comply())
            tasks.create_task(self._keep_turns())

    async def _comply(self) -> None:
        """Carry out instructions at the start, when one comes, and now and then: another replica may have taken one
        in."""
        complying = Compliance(journal=self.journal, sources=self.settings.sources)
        while True:
            self._instructed.clear()
            try:
                await complying.carry_out()
            except JournalError as problem:
                emit("errand.failed", errand="comply", detail=str(problem))
                await asyncio.sleep(_COMPLY_AGAIN)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._instructed.wait(), _LONGEST_SLEEP.total_seconds())

    async def _keep_turns(self) -> None:
        """Run the jobs of all sources when they are due. If no source has a scheduled job, this waits without
        waking."""
        found = await asyncio.to_thread(admins, self.settings)
        async with performing() as performer:
            jobs = self._jobs(found, performer)
            while jobs:
                for job in jobs:
                    await self._begin(job)
                await asyncio.sleep(self._pause(jobs).total_seconds())
            await asyncio.Event().wait()

    def _pause(self, jobs: Sequence[_Job]) -> timedelta:
        """The pause between two questions to the journal. They are short, and are asked a few times within the shortest
        interval."""
        shortest = min(job.every for job in jobs)
        return min(shortest / 4, _LONGEST_SLEEP, _AGAIN_AFTER_FAILURE if self._failed else _LONGEST_SLEEP)

    def _jobs(self, found: Mapping[str, Admin], performer: ErrandRunner) -> list[_Job]:
        jobs: list[_Job] = []
        for source, admin in found.items():
            plan = admin.schedule
            works = (("check", plan.check, self._checked), ("reconcile", plan.reconcile, self._reconciled))
            for tenant, (what, every, work) in itertools.product(admin.tenants(), works):
                if every is not None:
                    done = partial(work, performer, admin, source, tenant)
                    name, paused = f"turn:{what}:{source}:{tenant}", paused_mark(source, tenant)
                    jobs.append(_Job(name=name, paused=paused, every=every, work=done))
        return jobs

    async def _begin(self, job: _Job) -> None:
        now = clock.now()
        failed = self._failed.get(job.name)
        is_again = failed is not None and now - failed >= min(_AGAIN_AFTER_FAILURE, job.every)
        try:
            if await self.journal.recall(job.paused):
                return
            if not await self.journal.begin_job(job.name, every=_NONE if is_again else job.every, now=now):
                return
            await job.work()
        except (ErrandFailed, JournalError) as problem:
            self._failed[job.name] = now
            emit("errand.failed", errand=job.name.removeprefix("turn:"), detail=str(problem))
        else:
            self._failed.pop(job.name, None)

    async def _checked(self, performer: ErrandRunner, admin: Admin, source: str, tenant: str) -> None:
        """Check the subscriptions of a shop. Shopify deletes a subscription that fails: it is made again, or reported.
        The bridge does not take over another's by itself. Two bridges with one app's token, such as one for trials,
        would take each other's deliveries in turns."""
        kinds = self.book.rules.kinds & self.settings.sources[source].kinds().keys()
        repaired = admin.subscribe(tenant, kinds=kinds, dry_run=not admin.schedule.repair, elsewhere=False)
        findings = await performer.perform(repaired)
        for finding in findings:
            if finding.state in ("mended", "would", "wrong"):
                name = "subscription.mended" if finding.state == "mended" else "subscription.missing"
                emit(name, source=source, tenant=tenant, subject=finding.subject, detail=finding.detail)

    async def _reconciled(self, performer: ErrandRunner, admin: Admin, source: str, tenant: str) -> None:
        now = clock.now()
        mark = f"reconciled:{source}:{tenant}"
        came_to = await self.journal.recall(mark)
        plan = admin.schedule
        since = min(datetime.fromisoformat(came_to), now) - plan.overlap if came_to else now - plan.first
        work = Reconciliation(journal=self.journal, source=source, tenant=tenant, mark=mark)
        tally = await work.made(admin, performer, since=since, until=now, now=now)
        emit_reconciled(source, tenant, tally)


def emit_reconciled(source: str, tenant: str, tally: Tally) -> None:
    """Log the result of a reconciliation."""
    emit(
        "reconciliation.done",
        source=source,
        tenant=tenant,
        found=tally.found,
        already=tally.already,
        healed=tally.healed,
        skipped=sum(tally.skipped.values()),
    )
