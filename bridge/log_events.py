"""The closed list of log events: the level of each, when it is logged, its fields, and the metric that counts it.

docs/log-events.md and docs/metrics.md are made from it; a test compares the fields with what the program passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

FIELDS: Final[Mapping[str, str]] = {
    "source": "Name of the source.",
    "tenant": "Shop.",
    "topic": "Topic of the webhook, or of Kafka.",
    "id": "Id that the platform gave the delivery, or the place of a record in its topic.",
    "lane": "Order, as the text that names its lane. Of a customer the number is left out.",
    "seq": "Number of the document in the journal.",
    "dest": "Name of the destination.",
    "rule": "Name of the rule.",
    "fact": "Name of the fact.",
    "once": "What tells this fact apart from others of its name in the order: a JSON array, `[]` if there is one.",
    "state": "State of the fact.",
    "reason": "Reason, from a closed list.",
    "detail": "More about it, for a person.",
    "attempt": "Number of the attempt; the first is 1.",
    "bytes": "Bytes of the body.",
    "secret_number": "Place in `secrets` of the secret that signed it; the first is 1.",
    "partition": "Number of the partition.",
    "group": "Consumer group.",
    "offset": "Offset of the record with which it begins or goes on.",
    "again_in": "Seconds until the next attempt.",
    "position": "Offset that the group had committed.",
    "first": "First offset that the log of the partition still has.",
    "end": "Offset after the last record of the partition.",
    "count": "How many.",
    "generation": "Number of the rules in force; it grows with each change that was taken over.",
    "journal": "File or schema of the journal.",
    "problem": "Class of the exception. Its text is left out, because it may quote a document.",
    "frames": "Where the exception was raised, innermost last: file, line and function.",
    "subject": "Topic of the subscription.",
    "ref": "Number by which commands name it.",
    "until": "Time at which it is due.",
}
"""What a field means, where the event does not say it in its own way."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An event: its level, and the labels by which it is counted in `metric` (none: not counted).

    when        when it is logged, as a sentence
    fields      its fields with their meanings; some may be left out
    help        what the metric counts
    warned_of   values of the field `state` with which it is a warning
    """

    level: Literal["debug", "info", "warning", "error"]
    when: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    metric: str = ""
    labels: tuple[str, ...] = ()
    help: str = ""
    warned_of: frozenset[str] = frozenset()

    def level_of(self, fields: Mapping[str, Any]) -> str:
        return "warning" if self.warned_of and fields.get("state") in self.warned_of else self.level


def _fields(names: str = "", /, **own: str) -> Mapping[str, str]:
    """Fields by name, with their usual meaning, and others with one of their own."""
    return {**{name: FIELDS[name] for name in names.split()}, **own}


_DOCUMENT: Final = "source tenant topic id lane seq"
_PARTITION: Final = "source topic partition"

EVENTS: Final[Mapping[str, Kind]] = {
    "delivery.received": Kind(
        "info",
        "A delivery was stored and answered 200.",
        _fields(
            f"{_DOCUMENT} secret_number reason bytes",
            reason="Why it is not mapped, if it is not.",
            seconds="Seconds from the end of its headers to its answer.",
        ),
        metric="deliveries",
        labels=("source", "secret_number"),
        help="Deliveries that were stored and answered 200",
    ),
    "delivery.duplicate": Kind(
        "info",
        "A delivery came whose id was known. It was answered 200 and is not stored again.",
        _fields(
            f"{_DOCUMENT} secret_number reason bytes",
            reason="Why it is not mapped, if it is not.",
            seconds="Seconds from the end of its headers to its answer.",
        ),
        metric="duplicate_deliveries",
        labels=("source",),
        help="Deliveries whose id was known; answered 200",
    ),
    "delivery.dead": Kind(
        "error",
        "A delivery that cannot be read was stored as dead and answered 200. `dead list` shows it.",
        _fields(f"{_DOCUMENT} reason detail"),
        metric="dead_deliveries",
        labels=("source",),
        help="Deliveries that cannot be read, stored as dead",
    ),
    "delivery.answered": Kind(
        "info",
        "A request was answered with success and not stored: a ping, a challenge, or a topic that the source ignores.",
        _fields("source detail", status="Status of the answer."),
        metric="door_answers",
        labels=("source",),
        help="Requests at the door that were answered with success and not stored",
    ),
    "delivery.refused": Kind(
        "warning",
        "A request at the door was not taken. Nothing is kept of it.",
        _fields("source detail", status="Status of the answer."),
        metric="door_refusals",
        labels=("source", "status"),
        help="Requests at the door that were not taken, by the status that they were answered",
    ),
    "connection.closed": Kind(
        "warning",
        "A connection at the door was closed because it sent too slowly.",
        _fields("detail"),
        metric="door_slow_connections",
        help="Connections at the door that were closed because they sent too slowly",
    ),
    "record.received": Kind(
        "info",
        "A record was stored, or was known already.",
        _fields(
            f"{_DOCUMENT} bytes",
            result="`stored`, `known` or `dead`.",
            seconds="Seconds that storing took.",
        ),
        metric="records",
        labels=("source", "topic", "result"),
        help="Records that were stored, known already, or stored as dead",
    ),
    "record.dead": Kind(
        "error",
        "A record that cannot be read was stored as dead. `dead list` shows it.",
        _fields(f"{_DOCUMENT} reason detail"),
        metric="dead_records",
        labels=("source", "topic"),
        help="Records that cannot be read, stored as dead",
    ),
    "record.waits": Kind(
        "warning",
        "A partition waits, because its next record cannot be read or stored yet.",
        _fields(
            f"{_PARTITION} detail again_in",
            offset="Offset of that record.",
            id="Id of the first record that cannot be stored.",
            records="Number of records that cannot be stored.",
        ),
        metric="record_waits",
        labels=("source",),
        help="Times that a partition had to wait, because its next record could not be read or stored yet",
    ),
    "stream.connected": Kind(
        "info",
        "The brokers can be used again.",
        _fields("source group"),
    ),
    "stream.disconnected": Kind(
        "error",
        "The brokers cannot be used.",
        _fields("source detail again_in"),
        metric="stream_failures",
        labels=("source",),
        help="Times that the brokers could not be used",
    ),
    "stream.assigned": Kind(
        "info",
        "The group gave this process partitions.",
        _fields("source", partitions="Those partitions, as topic/partition."),
        metric="stream_rebalances",
        labels=("source",),
        help="Times that the group gave this process partitions",
    ),
    "stream.revoked": Kind(
        "info",
        "The group took partitions back.",
        _fields("source", partitions="How many."),
    ),
    "stream.topics_missing": Kind(
        "error",
        "Topics of the configuration are not there, or may not be seen.",
        _fields("source detail", topics="Those topics."),
        metric="stream_topics_missing",
        labels=("source",),
        help="Times that topics of the configuration were found missing",
    ),
    "stream.throttled": Kind(
        "warning",
        "The brokers slow this process down by a quota.",
        _fields("source detail", seconds="Seconds of the last delay."),
        metric="stream_throttlings",
        labels=("source",),
        help="Times that the brokers began to slow this process down by a quota",
    ),
    "stream.fenced": Kind(
        "error",
        "Another member with this `instance` took the place of this process in the group.",
        _fields("source group detail"),
        metric="stream_fencings",
        labels=("source",),
        help="Times that another member with the same `instance` took the place of this process",
    ),
    "stream.group_shared": Kind(
        "error",
        "A bridge with another journal reads in this consumer group.",
        _fields("source group detail"),
        metric="stream_shared_groups",
        labels=("source",),
        help="Times that a bridge with another journal was found in the consumer group",
    ),
    "partition.placed": Kind(
        "info",
        "A partition begins at a place that the configuration gives.",
        _fields(f"{_PARTITION} offset detail position first end"),
    ),
    "partition.adopted": Kind(
        "warning",
        "The journal has no position of a partition, and the bridge goes on from the position of the group.",
        _fields(f"{_PARTITION} offset detail position"),
    ),
    "partition.ahead": Kind(
        "warning",
        "The group is ahead of the position in the journal.",
        _fields(f"{_PARTITION} offset detail position"),
    ),
    "partition.rewound": Kind(
        "warning",
        "The journal was put back, and the bridge reads again what came after the copy.",
        _fields(f"{_PARTITION} offset detail position"),
    ),
    "partition.stopped": Kind(
        "error",
        "Nothing more of a partition is read.",
        _fields(f"{_PARTITION} offset detail again_in first end", position="Offset of the lost position."),
        metric="stream_partition_stops",
        labels=("source",),
        help="Times that the reading of a partition was stopped",
    ),
    "partition.resumed": Kind(
        "info",
        "A partition that could not be read is read again.",
        _fields(f"{_PARTITION} offset"),
    ),
    "fact.departed": Kind(
        "debug",
        "A request that may not be repeated was marked in the journal. It leaves now.",
        _fields(f"{_DOCUMENT} dest fact once"),
        metric="departures",
        labels=("dest",),
        help="Requests that may not be repeated, marked before they left",
    ),
    "fact.settled": Kind(
        "info",
        "A fact became final, or waits for a person. It is a warning if the state is dead or uncertain.",
        _fields(
            f"{_DOCUMENT} dest rule fact once state reason detail attempt",
            seconds="Seconds from the arrival of the document.",
        ),
        metric="facts",
        labels=("dest", "fact", "state", "reason"),
        help="Facts that became final, or wait for a person",
        warned_of=frozenset({"dead", "uncertain"}),
    ),
    "fact.postponed": Kind(
        "info",
        "A fact is tried again later.",
        _fields(f"{_DOCUMENT} dest fact rule reason detail attempt", until="Time of the next attempt."),
        metric="postponements",
        labels=("dest", "reason"),
        help="Attempts after which a fact is tried again later",
    ),
    "document.skipped": Kind(
        "info",
        "A document gave no new fact.",
        _fields(f"{_DOCUMENT} dest reason", seconds="Seconds from the arrival of the document."),
        metric="skipped_documents",
        labels=("dest", "reason"),
        help="Documents that gave no new fact",
    ),
    "destination.paused": Kind(
        "error",
        "A destination is sent nothing, because it refuses us or is down.",
        _fields("dest detail", reason="`paused`: it refuses us. `down`: it failed or kept silent five times running."),
        metric="destination_pauses",
        labels=("dest", "reason"),
        help="Times that a destination was paused",
    ),
    "destination.resumed": Kind(
        "info",
        "A destination is sent to again.",
        _fields("dest"),
    ),
    "destination.suspicious": Kind(
        "warning",
        "A request failed: one order at a time is sent until one succeeds.",
        _fields("dest", reason="What failed."),
    ),
    "destination.resting": Kind(
        "warning",
        "A destination asked to be left alone for a time.",
        _fields("dest detail", seconds="Seconds of that time."),
        metric="destination_rests",
        labels=("dest",),
        help="Times that a destination asked to be left alone for a time",
    ),
    "concurrency.changed": Kind(
        "info",
        "The number of orders that may be on their way at once was changed.",
        _fields(
            "dest",
            before="Limit before.",
            limit="Limit now.",
            reason="Why: the kind of failure, or slow or good answers.",
        ),
        metric="concurrency_changes",
        labels=("dest", "reason"),
        help="Times that the concurrency limit was changed",
    ),
    "rule.held": Kind(
        "error",
        "A rule is held: its orders wait, because the API refused it again and again.",
        _fields("dest rule detail"),
        metric="rule_holds",
        labels=("dest", "rule"),
        help="Times that a rule was held",
    ),
    "rule.released": Kind(
        "info",
        "A held rule is sent again.",
        _fields("dest rule detail"),
    ),
    "rule.missing": Kind(
        "warning",
        "No rule joins a source or a destination to another, so nothing goes that way.",
        _fields("detail"),
    ),
    "rule.switched_off": Kind(
        "warning",
        "A rule is switched off in the configuration.",
        _fields("rule detail"),
    ),
    "rule.removed": Kind(
        "warning",
        "A fact that was sent before is made by no rule any more.",
        _fields("dest rule fact detail"),
    ),
    "facts.in_doubt": Kind(
        "warning",
        "Facts of a process that ended are uncertain, because their requests may have arrived.",
        _fields("count"),
    ),
    "lanes.hastened": Kind(
        "warning",
        "Orders that waited for a time too far ahead, which a wrong clock gave, are tried now.",
        _fields("dest count detail"),
    ),
    "lane.lost": Kind(
        "warning",
        "The lease of this process ended while it had an order. Another process has it now.",
        _fields(f"{_DOCUMENT} dest detail"),
        metric="lanes_lost",
        labels=("dest",),
        help="Orders in flight that this process lost, because its lease had ended",
    ),
    "lanes.freed": Kind(
        "warning",
        "Orders of a process whose lease ended are free for others.",
        _fields("count"),
    ),
    "lease.lost": Kind(
        "warning",
        "This process came too late to renew its lease.",
        _fields(count="Orders that it had."),
        metric="leases_lost",
        help="Times that this process came too late to renew its lease",
    ),
    "console.signed_in": Kind(
        "info", "Somebody signed in at the console.", _fields(right="`look`, or `look and act`.")
    ),
    "console.refused": Kind(
        "warning",
        "The console refused a wrong token, or a form that did not come from its own page.",
        _fields("detail"),
        metric="console_refusals",
        help="Wrong tokens at the console, and forms that did not come from its own page",
    ),
    "console.failed": Kind("error", "A page of the console could not be made.", _fields("problem frames")),
    "console.shown": Kind("info", "The console showed a document, which is personal data.", _fields("lane seq")),
    "console.acted": Kind(
        "info",
        "Somebody acted on the console.",
        _fields("dest rule reason count", act="What was done.", state="State that the facts had."),
    ),
    "rules.loaded": Kind(
        "info",
        "Rules are in force, at the start or after a change.",
        _fields("generation", digest="Digest of the rules.", rules="Number of rules."),
        metric="rule_loads",
        help="Times that rules were taken over, the start included",
    ),
    "reload.failed": Kind(
        "error",
        "A bug kept the bridge from reading a changed configuration. `rules.refused` follows.",
        _fields("problem frames"),
    ),
    "rules.refused": Kind(
        "error",
        "A changed configuration was not taken over. The rules of before stay in force.",
        _fields("generation detail"),
        metric="rule_load_failures",
        help="Times that a changed configuration was not taken over",
    ),
    "journal.made": Kind(
        "warning",
        "There was no journal, and an empty one was made.",
        _fields("journal detail"),
    ),
    "journal.put_back": Kind(
        "warning",
        "The file of the journal is older than it was when the bridge last ran, or a copy of one that was in use.",
        _fields("journal detail"),
    ),
    "journal.restored": Kind(
        "warning",
        "The bridge starts with a restored journal for the first time.",
        _fields("journal detail"),
    ),
    "journal.full": Kind(
        "error",
        "The disk of the journal has too little free space. The door answers 503.",
        _fields(free="Free bytes of the disk.", inside="Free bytes inside the file of the journal."),
        metric="journal_full",
        help="Times that the disk of the journal became too full",
    ),
    "journal.refused": Kind(
        "error",
        "The journal refused what was said of an order. Only its key and its state are kept.",
        _fields(f"{_DOCUMENT} dest detail"),
        metric="journal_refusals",
        help="Times that the journal refused what was said of an order",
    ),
    "journal.weak": Kind(
        "warning",
        "The database is set up so that it may lose what it confirmed.",
        _fields("detail"),
    ),
    "journal.busy": Kind(
        "error",
        "Something could not be stored at once. It is tried again.",
        _fields("dest detail"),
        metric="journal_busy",
        help="Times that something could not be stored at once",
    ),
    "journal.pruned": Kind(
        "info",
        "Retention removed what is old.",
        _fields(
            bodies="Raw documents that were removed.",
            envelopes="Deliveries that were removed from the history.",
            lanes="Orders of which nothing is left.",
        ),
    ),
    "journal.broken": Kind(
        "error",
        "The journal cannot be used any more. The process ends.",
        _fields("detail"),
    ),
    "journal.unsaved": Kind(
        "error",
        "The file of the journal is gone, and what was acknowledged could not be saved elsewhere. It is tried again.",
        _fields("detail"),
    ),
    "subscription.mended": Kind(
        "warning",
        "A subscription of a shop was made or corrected.",
        _fields("source tenant subject detail"),
        metric="subscriptions_mended",
        labels=("source",),
        help="Subscriptions that were made or corrected",
    ),
    "subscription.missing": Kind(
        "error",
        "A subscription of a shop is missing or wrong, and was not mended.",
        _fields("source tenant subject detail"),
        metric="subscriptions_missing",
        labels=("source",),
        help="Times that a subscription was found missing or wrong, and was not mended",
    ),
    "reconciliation.done": Kind(
        "info",
        "A reconciliation of a shop came to its end.",
        _fields(
            "source tenant",
            found="Orders that the shop has in that time.",
            already="Orders of which a document as new was stored already.",
            healed="Orders that had not come, or not in their last version, and were taken in.",
            skipped="Orders that were taken in, and of which nothing is to be sent.",
        ),
        metric="reconciliations",
        labels=("source",),
        help="Reconciliations that came to their end",
    ),
    "errand.noted": Kind(
        "warning",
        "An errand says something that you should know.",
        _fields("detail"),
    ),
    "errands.paused": Kind(
        "warning",
        "A shop removed the app, and is asked nothing more until `shopify subscribe` succeeds.",
        _fields("source tenant topic id"),
    ),
    "erased": Kind(
        "info",
        "A request for erasure was carried out.",
        _fields(
            "source tenant topic id",
            orders="Orders that were erased.",
            bodies="Raw documents that were erased.",
            is_lasting="`false`: a program that reads the journal keeps an older picture of it for a while.",
        ),
        metric="erasures",
        labels=("source", "topic"),
        help="Requests for erasure that were carried out",
    ),
    "disclosure.due": Kind(
        "warning",
        "A person asks for the data that are kept. `disclose` hands them out.",
        _fields("source tenant topic id ref until"),
    ),
    "request.repeated": Kind(
        "warning",
        "A request for erasure came a second time, and waits for your word.",
        _fields("source tenant topic id ref until detail"),
    ),
    "errand.failed": Kind(
        "error",
        "A platform could not be asked. The errand is tried again.",
        _fields("detail", errand="Which errand."),
        metric="errand_failures",
        help="Times that a platform could not be asked",
    ),
    "connector.failed": Kind(
        "error",
        "A connector raised an exception: a bug. The order is kept.",
        _fields("source dest rule problem frames"),
        metric="connector_failures",
        help="Bugs in connectors, caught at their boundary",
    ),
    "fast_path.missing": Kind(
        "warning",
        "A fast part does not fit this version of aiohttp. The bridge uses the public interface of aiohttp instead.",
        _fields(
            part="`door` or `delivery`.",
            aiohttp="Version of aiohttp.",
            detail="What is missing, and what it costs.",
        ),
    ),
    "service.started": Kind(
        "info",
        "The door is open.",
        _fields(
            "journal",
            version="Version of the bridge.",
            port="Public port.",
            private_port="Private port.",
            console_port="Port of the console; none: there is none.",
            destinations="Mode of each destination: `live` or `shadow`.",
        ),
    ),
    "service.stopping": Kind(
        "info",
        "The bridge takes nothing more in, and finishes what is in flight.",
        _fields(in_flight="Orders in flight."),
    ),
    "service.stopped": Kind(
        "info",
        "The process ends.",
    ),
    "log.resumed": Kind(
        "warning",
        "Lines are written again, after some could not be.",
        _fields(lost="Lines that were lost."),
    ),
    "log": Kind(
        "info",
        "A library logged or warned, under the level that it gave.",
        _fields("problem frames", logger="Logger of the library.", message="Its message, without arguments."),
    ),
}
"""`log` carries what libraries say, under their own level."""
