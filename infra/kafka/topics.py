"""The topics of a namespace: made where missing, and told apart from others of the same name."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError, for_code

PARTITIONS = 8
REPLICAS_MAX = 3
# A record holds one event; a text of a megabyte, sealed and in base64, still fits.
RECORD_BYTES_MAX = 4 * 1024 * 1024
BOOTSTRAP_MS_MAX = 5_000

log = structlog.get_logger(__name__)


class Topic(NamedTuple):
    """A topic as the brokers have it now. One that is made anew has another id."""

    id: str
    name: str
    partitions: int


class CannotShrink(Exception):
    """A topic has more partitions than asked for, and keeps them."""


def ensure_topics(
    bootstrap_servers: str, names: Sequence[str], *, partitions: int = PARTITIONS, compacted: bool = False
) -> str:
    """Make the topics that are missing, and answer with the identity of the place they are in.

    `compacted` ones keep the newest record of each key. Existing topics are left as they are. The identity
    changes with the cluster and whenever a topic is made anew, so that a checkpoint of one place is never
    taken for that of another. Safe to run by two at once.
    """
    admin = _admin(bootstrap_servers)
    try:
        present = {topic["name"] for topic in admin.describe_topics(list(names)) if not topic["error_code"]}
        missing = [name for name in names if name not in present]
        cluster = admin.describe_cluster()
        if missing:
            replicas = min(REPLICAS_MAX, len(cluster["brokers"]))
            _create(admin, missing, partitions, replicas, compacted=compacted)
        return _identity(cluster["cluster_id"], admin.describe_topics(list(names)))
    finally:
        admin.close()


def describe_topics(bootstrap_servers: str, names: Sequence[str]) -> list[Topic]:
    """Those of these topics that there are. Raises `KafkaError`."""
    admin = _admin(bootstrap_servers)
    try:
        return [
            Topic(str(it["topic_id"]), it["name"], len(it["partitions"]))
            for it in admin.describe_topics(list(names))
            if not it["error_code"]
        ]
    finally:
        admin.close()


def grow_topics(bootstrap_servers: str, topics: Sequence[Topic], partitions: int) -> None:
    """Give these topics so many partitions. Raises `KafkaError`, or `CannotShrink` before it changes any."""
    for it in topics:
        if it.partitions > partitions:
            raise CannotShrink(f"{it.name} has {it.partitions} partitions already, and keeps them")
    growing = {it.name: partitions for it in topics if it.partitions < partitions}
    if not growing:
        return
    admin = _admin(bootstrap_servers)
    try:
        admin.create_partitions(growing)
    finally:
        admin.close()
    log.info("topics_grown", count=len(growing), partitions=partitions)


def delete_topics(bootstrap_servers: str, names: Sequence[str]) -> None:
    """Take these topics away, with all that is on them; those that are not there already are passed over."""
    present = [it.name for it in describe_topics(bootstrap_servers, names)]
    if not present:
        return
    admin = _admin(bootstrap_servers)
    try:
        admin.delete_topics(present)
    finally:
        admin.close()
    log.info("topics_deleted", count=len(present))


def _admin(bootstrap_servers: str) -> KafkaAdminClient:
    return KafkaAdminClient(
        bootstrap_servers=bootstrap_servers.split(","), bootstrap_timeout_ms=BOOTSTRAP_MS_MAX
    )


def _create(
    admin: KafkaAdminClient, names: Sequence[str], partitions: int, replicas: int, *, compacted: bool
) -> None:
    configs = {
        # Of states the newest is kept; of events, which are history, all.
        "cleanup.policy": "compact" if compacted else "delete",
        # The log is history: nothing of it ages out of the stream.
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "compression.type": "producer",
        "max.message.bytes": str(RECORD_BYTES_MAX),
        "unclean.leader.election.enable": "false",
        # The relay would rather wait than have its word on one disk only.
        "min.insync.replicas": str(min(2, replicas)),
    }
    options = {"num_partitions": partitions, "replication_factor": replicas, "configs": configs}
    answer = admin.create_topics(dict.fromkeys(names, options), raise_errors=False)
    for topic in answer["topics"]:
        error = for_code(topic["error_code"])
        if topic["error_code"] and error is not TopicAlreadyExistsError:
            raise error(topic["error_message"])
    admin.wait_for_topics(names)
    log.info("topics_created", count=len(names), partitions=partitions, replicas=replicas)


def _identity(cluster_id: str, topics: Sequence[dict[str, Any]]) -> str:
    parts = sorted(f"{topic['name']}={topic['topic_id']}" for topic in topics)
    return hashlib.sha256("\n".join([cluster_id, *parts]).encode()).hexdigest()
