"""The one place that knows aiokafka, and the guard for each of its unclean ways.

start() that is not retried       the caller opens anew, with patience; `opened` says why it failed
unknown topics at start()         it starts without topics and subscribes then; `missing` tells of them
calls that hang in an outage      every one has a deadline, and ends as StreamError
stop() that hangs or dies         a deadline; its stray CancelledError is swallowed unless somebody cancelled us
log storms                        a line is let through once in a while, with the number of those that were not
every failure to connect is alike the reason is read from the log's arguments, and said in an operator's words
commits that wait for a topic     given up as soon as the topic is gone
one bad record stops all          answers are read by our own Batches, which say of a record what is wrong with it
two with one `instance`           who lost it yields, see membership.py
quotas are not heeded             nothing is sent while a broker wants none, see throttle.py
resets nobody asked for           auto_offset_reset is none, and a seek is checked against the log first
aborted transactions are read     isolation_level is read_committed, unless `client:` says otherwise
"""

import asyncio
import errno
import logging
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import aiokafka.consumer.fetcher
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.abc import AbstractTokenProvider
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    AuthenticationFailedError,
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.offset import OffsetRequest

from bridge import clock
from bridge.contract import Record, Sasl, Subscription, Tls
from bridge.errors import BridgeError, InstanceTaken, StreamError
from bridge.intake.membership import Membership
from bridge.intake.partition import Place, Portion
from bridge.intake.record_batches import Batches, Fault
from bridge.intake.throttle import Throttle
from bridge.texts import NoText, text_of

T = TypeVar("T")

DEADLINE: Final = 15.0
"""The most seconds that a call to the brokers may take."""

_STOPPING: Final = 5.0  # seconds
_GLANCE: Final = 0.2  # seconds
_QUIET: Final = 30.0  # seconds
_ASSIGNORS: Final = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}
_DEFAULTS: Final[Mapping[str, Any]] = {
    "client_id": "attribution-bridge",
    "metadata_max_age_ms": 10_000,
    "request_timeout_ms": 30_000,
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
}

aiokafka.consumer.fetcher.MemoryRecords = Batches


class WrongSecurity(BridgeError):
    """A certificate or key that cannot be used."""


class PositionLost(Exception):
    """The log of these partitions has no record at the position that was asked for."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places
        super().__init__(str(places))


class Rebalancing(Protocol):
    """The receiver of partitions: it learns which of them are ours."""

    async def let_go(self) -> None:
        """Let all partitions go: they are taken back. When this returns nothing more is done for them."""

    async def taken(self, places: Sequence[Place]) -> None:
        """Take these partitions: they are ours from now on."""


@asynccontextmanager
async def opened(
    subscription: Subscription, source: str, rebalancing: Rebalancing, *, yields: bool = False
) -> AsyncIterator["Consumer"]:
    """Join the group as a member. Raises StreamError with what an operator can do about it.

    yields  True: the member that has our `instance` keeps it, since it was taken from us; raises InstanceTaken. False:
            we take the instance
    """
    try:
        client = AIOKafkaConsumer(**options(subscription))
    except (WrongSecurity, ValueError, TypeError) as problem:
        raise StreamError(str(problem)) from None
    _notes.reasons.clear()
    try:
        await _within(client.start(), "connecting")
    except StreamError as problem:
        await _stopped(client)
        raise StreamError(_notes.explained() or str(problem)) from None
    except BaseException:
        await _stopped(client)
        raise
    try:
        throttle = Throttle(client._client)  # noqa: SLF001 - there is no public way
        membership = Membership(client, subscription.group, subscription.instance)
        if yields and (holder := await _within(membership.holder(), "asking for the group")):
            raise _taken(subscription.instance, holder)
        listener = _Listener(rebalancing)
        if subscription.pattern is not None:
            client.subscribe(pattern=f"^(?:{subscription.pattern})$", listener=listener)
        else:
            client.subscribe(topics=list(subscription.topics), listener=listener)
        yield Consumer(client, source, membership, throttle)
    finally:
        await _stopped(client)


async def missing_topics(subscription: Subscription) -> Sequence[str]:
    """Ask the brokers for the topics, without joining the group. Returns those that they do not have, or do not show
    us. Raises StreamError if the brokers do not answer or do not let us in."""
    try:
        client = AIOKafkaConsumer(**{**options(subscription), "group_id": None, "group_instance_id": None})
    except (WrongSecurity, ValueError, TypeError) as problem:
        raise StreamError(str(problem)) from None
    _notes.reasons.clear()
    try:
        await _within(client.start(), "connecting")
        there = await _within(client.topics(), "asking for topics")
    except StreamError as problem:
        raise StreamError(_notes.explained() or str(problem)) from None
    finally:
        await _stopped(client)
    if subscription.pattern is not None:
        is_read = re.compile(subscription.pattern).fullmatch
        return () if any(is_read(topic) for topic in there) else (subscription.pattern,)
    return [topic for topic in subscription.topics if topic not in there]


def _taken(instance: str | None, holder: str | None) -> InstanceTaken:
    return InstanceTaken(_TAKEN.format(instance=instance, holder=holder or "a host that is gone"))


def options(subscription: Subscription) -> dict[str, Any]:
    """What aiokafka is made with. Raises WrongSecurity."""
    given = {**_DEFAULTS, **subscription.client}
    if assignor := given.get("partition_assignment_strategy"):
        given["partition_assignment_strategy"] = (_ASSIGNORS[assignor],)
    tls, sasl = subscription.tls, subscription.sasl
    given["security_protocol"] = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
    if tls is not None:
        given["ssl_context"] = _context(tls)
    if sasl is not None:
        given |= _login(sasl)
    return {
        **given,
        "bootstrap_servers": list(subscription.brokers),
        "group_id": subscription.group,
        "group_instance_id": subscription.instance,
    }


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None:
            password = tls.password.reveal() if tls.password is not None else ""
            context.load_cert_chain(tls.certificate, tls.key, lambda: password)
    except (OSError, ssl.SSLError) as problem:
        reason = problem.strerror or type(problem).__name__
        files = ", ".join(str(each) for each in (tls.ca, tls.certificate, tls.key) if each is not None)
        raise WrongSecurity(f"tls: cannot be used: {reason} (of {files})") from None
    return context


_LONGEST_TOKEN: Final = 65_536  # bytes


class _Token(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """A token that is read anew for each connection: whoever renews it writes the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        try:
            return (await asyncio.to_thread(text_of, self._path, _LONGEST_TOKEN)).strip()
        except NoText as problem:
            raise OSError(errno.EINVAL, f"sasl.token: cannot read {self._path}: {problem}") from None


def _login(sasl: Sasl) -> dict[str, Any]:
    if sasl.token is not None:
        return {"sasl_mechanism": sasl.mechanism, "sasl_oauth_token_provider": _Token(sasl.token)}
    password = sasl.password.reveal() if sasl.password is not None else ""
    return {
        "sasl_mechanism": sasl.mechanism,
        "sasl_plain_username": sasl.username,
        "sasl_plain_password": password,
    }


async def _within(work: Awaitable[T], doing: str, throttle: Throttle | None = None) -> T:
    """Wait for the work, with a deadline. Raises StreamError for what the client raises, and for silence that no quota
    explains."""
    try:
        async with throttle.deadline(DEADLINE) if throttle is not None else asyncio.timeout(DEADLINE):
            return await work
    except TimeoutError:
        raise StreamError(f"{doing}: no answer from the brokers in {DEADLINE:.0f} s") from None
    except (KafkaError, OSError, AssertionError) as problem:
        raise StreamError(f"{doing}: {type(problem).__name__}") from None


async def _stopped(client: AIOKafkaConsumer) -> None:
    """Stop the client within a deadline. In an outage its stop() raises a CancelledError that nobody sent."""
    this = asyncio.current_task()
    before = this.cancelling() if this is not None else 0
    stopping = asyncio.ensure_future(client.stop())
    try:
        await asyncio.wait((stopping,), timeout=_STOPPING)
    finally:
        stopping.cancel()
        with suppress(TimeoutError, asyncio.CancelledError, KafkaError, OSError):
            async with asyncio.timeout(_STOPPING):
                # A stop() that was cut short has not done this.
                await client._client.close()  # noqa: SLF001 - the public way is the one that fails
        if stopping.done() and not stopping.cancelled():
            stopping.exception()
    if this is not None and this.cancelling() > before:
        raise asyncio.CancelledError


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, rebalancing: Rebalancing) -> None:
        self._rebalancing = rebalancing

    async def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - eager: it is always all
        await self._rebalancing.let_go()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        await self._rebalancing.taken([Place(*each) for each in assigned])


class Consumer:
    """A member of the group. Every call ends: with what was asked, or with StreamError."""

    def __init__(self, client: AIOKafkaConsumer, source: str, membership: Membership, throttle: Throttle) -> None:
        self._client = client
        self._source = source
        self._membership = membership
        self._throttle = throttle

    async def _within(self, work: Awaitable[T], doing: str) -> T:
        return await _within(work, doing, self._throttle)

    @property
    def throttled(self) -> float:
        """Seconds for which the brokers have asked us to wait."""
        return self._throttle.seconds

    async def batch(self, asked: Mapping[Place, int], *, seconds: float, most: int) -> Mapping[Place, Portion]:
        """What came of these places, of which all before the offset was read. Raises PositionLost, StreamError."""
        wanted = [TopicPartition(*each) for each in asked] or [_NOWHERE]
        if self._client._fetcher.error_future.done():  # noqa: SLF001 - it gives nothing any more, and says nothing
            raise StreamError("reading: the client has stopped fetching")
        try:
            found = await self._client.getmany(*wanted, timeout_ms=int(seconds * 1000), max_records=most)
        except OffsetOutOfRangeError as problem:
            raise PositionLost([Place(*each) for each in problem.args[0]]) from None
        except NoOffsetForPartitionError as problem:
            raise PositionLost([Place(*problem.args[0])]) from None
        except TopicAuthorizationFailedError as problem:
            topics = {problem.args[0]} if isinstance(problem.args[0], str) else set(problem.args[0])
            return {place: Portion((), None, broken=_NOT_ALLOWED) for place in asked if place.topic in topics}
        except Exception as problem:  # noqa: BLE001 - whatever the client raises, it is tried anew
            if self._membership.is_fenced:
                holder = await self._within(self._membership.holder(), "asking for the group")
                raise _taken(self._membership.instance, holder) from None
            raise StreamError(f"reading: {type(problem).__name__}{_cure(problem)}") from None
        return {
            place: await self._portion(place, upto, found.get(TopicPartition(*place), ()))
            for place, upto in asked.items()
        }

    async def _portion(self, place: Place, upto: int, records: Sequence[Any]) -> Portion:
        """The records up to the one that says that nothing behind it can be read. Nothing else runs before the client
        is put back there: it would ask for what is behind the end of the log."""
        fault: Fault | None = records[-1].checksum if records else None
        if fault is not None and fault.whole:
            upto = max(fault.first, upto, *(each.offset + 1 for each in records[:-1]))
            self.seek(place, upto)
            broken = _BROKEN.format(
                offset=upto, reason=fault.reason, behind=fault.behind or "...", place=f"{place.topic}:{place.partition}"
            )
            return Portion([self._record(each) for each in records[:-1]], upto, broken)
        with suppress(IllegalStateError):
            upto = await self._client.position(TopicPartition(*place))
        return Portion([self._record(each) for each in records], upto)

    def _record(self, record: Any) -> Record:  # noqa: ANN401 - aiokafka's own
        now = clock.now()
        at = now
        if record.timestamp >= 0:
            with suppress(OverflowError):
                at = min(now, _EPOCH + timedelta(milliseconds=record.timestamp))
        return Record(
            source=self._source,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            at=at,
            key=record.key,
            value=record.value,
            headers=[(name, value or b"") for name, value in record.headers],
            fault=record.checksum.reason if isinstance(record.checksum, Fault) else "",
        )

    def ours(self) -> frozenset[Place]:
        """The partitions that are ours now, as the group says."""
        return frozenset(Place(*each) for each in self._client.assignment())

    async def commit(self, positions: Mapping[Place, int]) -> bool:
        """Whether these positions are kept; False: a partition was lost meanwhile, and its next owner knows better."""
        live = self.ours()
        wanted = {TopicPartition(*place): offset for place, offset in positions.items() if place in live}
        if not wanted:
            return False
        try:
            await self._within(self._committed(wanted), "committing")
        except _Lost:
            return False
        return True

    async def _committed(self, wanted: Mapping[TopicPartition, int]) -> None:
        """Commit, and give up if a topic is gone: the client would try for as long as the topic is not there. A
        position must not outlive its topic and count in a topic that was made again under its name."""
        committing = asyncio.ensure_future(_commit_errors(self._client.commit(wanted)))
        try:
            while not committing.done():
                if any(self._client.partitions_for_topic(topic) is None for topic, _ in wanted):
                    raise _Lost
                await asyncio.wait((committing,), timeout=_GLANCE)
            committing.result()
        finally:
            committing.cancel()

    async def committed(self, place: Place) -> int | None:
        """The group's position; None: it has none."""
        found: int | None = await self._within(
            self._client.committed(TopicPartition(*place)), "asking for the position"
        )
        return found

    async def bounds(self, place: Place) -> tuple[int, int]:
        """The first offset that the log still has, and the one after the last that may be read: what a transaction
        that is still open has written may not."""
        key = TopicPartition(*place)
        first = await self._within(self._client.beginning_offsets([key]), "asking for the first record")
        last = await self._within(self._client.end_offsets([key]), "asking for the last record")
        return first[key], last[key]

    async def reaches(self, place: Place, offset: int) -> bool:
        """Whether the log goes as far as this, with what may not be read yet."""
        key = TopicPartition(*place)
        return await self._within(self._high_watermark(key), "asking for the end of the log") >= offset

    async def _high_watermark(self, key: TopicPartition) -> int:
        """The end of the log. The public call gives only the end of what may be read."""
        client = self._client._client  # noqa: SLF001 - see above
        request = OffsetRequest(-1, _READ_UNCOMMITTED, [(key.topic, [(key.partition, _LATEST)])])
        while True:
            answer = await client.send(client.cluster.leader_for_partition(key), request)
            _, code, _, offset = answer.topics[0][1][0]
            if code == 0:
                return int(offset)
            await client.force_metadata_update()

    async def ends(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """The offsets after the last records that may be read."""
        found = await self._within(
            self._client.end_offsets([TopicPartition(*each) for each in places]), "asking for the last records"
        )
        return {Place(*each): offset for each, offset in found.items()}

    async def offset_at(self, place: Place, at: datetime) -> int | None:
        """The offset of the first record that is not older; None: all are."""
        key = TopicPartition(*place)
        found = await self._within(
            self._client.offsets_for_times({key: int(at.timestamp() * 1000)}), "asking for the record at a time"
        )
        return found[key].offset if found[key] is not None else None

    def elsewhere(self) -> int:
        """How many partitions of our topics are not ours: another member of the group has them, or nobody yet."""
        topics = self._client.subscription()
        counts = [len(self._client.partitions_for_topic(topic) or ()) for topic in topics]
        return sum(counts) - len(self._client.assignment())

    async def missing(self, topics: Sequence[str]) -> Sequence[str]:
        """Find the topics that do not exist, or that we may not read."""
        there = await self._within(self._client.topics(), "asking for the topics")
        return sorted(set(topics) - set(there))

    def seek(self, place: Place, offset: int) -> bool:
        """Read from this offset on. False: the partition is not ours any more."""
        with suppress(IllegalStateError):
            self._client.seek(TopicPartition(*place), offset)
            return True
        return False

    def pause(self, place: Place) -> None:
        """Pause a partition: nothing more of it is given, and what is fetched already waits."""
        with suppress(IllegalStateError):
            self._client.pause(TopicPartition(*place))

    def resume(self, place: Place) -> None:
        with suppress(IllegalStateError):
            self._client.resume(TopicPartition(*place))


class _Lost(Exception):
    """The partition is somebody else's."""


async def _commit_errors(committing: Awaitable[None]) -> None:
    try:
        await committing
    except (CommitFailedError, IllegalStateError):
        raise _Lost from None


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOWHERE: Final = TopicPartition("", 0)
"""A place to ask for when nothing is wanted: the client leaves the group if it is asked for nothing any more."""

_READ_UNCOMMITTED: Final = 0  # isolation level (docs/contracts/kafka.md)
_LATEST: Final = -1  # timestamp that asks for the end of the log
_NOT_ALLOWED: Final = "the brokers do not allow this user to read the topic; it is tried again"
_BROKEN: Final = (
    "what is at offset {offset} cannot be read ({reason}). It is tried again; to go on without it, stop the bridge and "
    "set the group's position behind it: kafka-consumer-groups --reset-offsets --to-offset {behind} --topic {place}"
)


# -- why it does not connect -------------------------------------------------------------------------------------------


def _cure(problem: BaseException) -> str:
    name = type(problem).__name__
    if "AuthorizationFailed" in name:
        return ": the brokers do not allow this user to read the topic or to be in the group"
    return ""


def explained(problem: BaseException) -> str:
    """A failure to connect in an operator's words."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({problem.verify_message}): name its authority with `tls: {{ca: ...}}`"
    if isinstance(problem, ssl.SSLError):
        return f"no TLS ({problem.reason}): is this a TLS port, and does it want a certificate of ours?"
    for kind, words in _WORDS.items():
        if isinstance(problem, kind):
            return words
    if isinstance(problem, OSError):
        return problem.strerror or type(problem).__name__
    return f"{type(problem).__name__}: {_HUNG_UP}"


_TAKEN: Final = (
    "another member has this `instance` ({instance}, at {holder}): nothing is read here until that one is gone. Give "
    "each bridge of a group an `instance` of its own, such as `instance: env:HOSTNAME`, or none"
)
_HUNG_UP: Final = "it hung up; are `tls:` and `sasl:` as this port wants them?"
_WORDS: Final[Mapping[type[BaseException], str]] = {
    SaslAuthenticationFailed: "it refuses the user name or the password (`sasl:`)",
    AuthenticationFailedError: "it refuses the user name or the password (`sasl:`)",
    UnsupportedSaslMechanismError: "it does not have this mechanism (`sasl: {mechanism: ...}`)",
    ConnectionResetError: _HUNG_UP,
    ConnectionRefusedError: "nobody listens there: is the broker up, and is the port right?",
    socket.gaierror: "the host's name is not known",
    TimeoutError: "no answer in time",
}


class _Notes(logging.Handler):
    """Listens to aiokafka's log: remembers why connections failed, and lets a line through once in a while only."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, BaseException] = {}
        self._last: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        problem = next((each for each in arguments if isinstance(each, BaseException)), None)
        if problem is not None and str(record.msg).startswith("Unable "):
            self.reasons[f"{arguments[0]}:{arguments[1]}"] = problem
        key = (record.name, re.sub(r"\d+", "", str(record.msg)))
        now = clock.monotonic()
        if now - self._last.get(key, -_QUIET) >= _QUIET:
            self._last[key] = now
            logging.getLogger().handle(_spoken(record))

    def explained(self) -> str:
        """Explain each broker's failure. Nothing if none was seen."""
        return "; ".join(f"{broker}: {explained(problem)}" for broker, problem in self.reasons.items())


def _spoken(record: logging.LogRecord) -> logging.LogRecord:
    """Write the arguments of a log record into its text: the log takes no arguments of libraries. The arguments of the
    client are names of groups, topics, nodes and requests, and what went wrong. None comes from a record."""
    arguments = tuple(_word(each) for each in record.args) if isinstance(record.args, tuple) else record.args
    said = copy(record)
    try:
        said.msg, said.args = str(record.msg) % arguments if arguments else str(record.msg), ()
    except (TypeError, ValueError):  # as many as its text has places for, but once in a while there are not
        return record
    return said


def _word(argument: object) -> object:
    """An exception in an operator's words where it has some; a number may be what its text wants."""
    if isinstance(argument, KafkaError):
        return str(argument) or type(argument).__name__
    if isinstance(argument, BaseException):
        return explained(argument) if isinstance(argument, OSError) else type(argument).__name__
    return argument if isinstance(argument, int | float) else str(argument)


_notes = _Notes()
_log = logging.getLogger("aiokafka")
_log.propagate = False
_log.addHandler(_notes)
