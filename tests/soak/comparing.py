"""What is compared when a soak is over: everything with the log, by ids and versions."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Any
from uuid import UUID

import httpx
from eventsourcing.persistence import Notification
from kafka import KafkaConsumer, TopicPartition

from infra import json
from infra.kafka import record
from tests.faults.callers import assert_each_once
from tests.faults.fleet import assert_one_at_a_time, epochs
from tests.soak import mirror
from tests.soak.load import People
from tests.soak.site import STATES, WEBHOOK_KINDS, Mirror, Site
from tests.streams import assert_whole, logged, published

VIEW_OF_STATES = {"customers": "directory.customers", "tickets": "tickets.tickets"}
PAGE = 200
IDS_SHOWN = 20


def compare_log(site: Site, people: People) -> str:
    """Every acknowledged command is there once, whole; none is there that nobody gave."""
    last_steps = {id(it) for it in people.erasures}
    events = assert_each_once(
        site.url, {key: it for key, it in people.acknowledged.items() if id(it) not in last_steps}
    )
    assert people.uncertain <= people.acknowledged.keys()
    done = {(UUID(it["id"]), it["version"], it["position"]) for it in people.erasures}
    carried_out = site.rows(
        "SELECT originator_id, originator_version, position FROM log.events WHERE topic = 'subject.erased'"
    )
    _same(done, carried_out, "erasures")
    return (
        f"log: {len(people.acknowledged)} acknowledged commands, each there once, {events} events; "
        f"{len(people.uncertain)} unanswered, repeated, applied once"
    )


def compare_topics(site: Site) -> str:
    """De-duplicated by id they are the log, each record in order; and one relay at a time wrote them."""
    log, delivered = logged(site.url), published(site.broker.address, site.namespace)
    _same(map(_id, delivered), map(_id, log), "topics")
    repeats = assert_whole(delivered, log)
    relays = assert_one_at_a_time(epochs(site.broker, site.namespace))
    return (
        f"topics: {len(log)} events, 0 lost, 0 out of order, {repeats} delivered again, "
        f"by {relays} producers one after the other"
    )


async def compare_views(site: Site) -> str:
    """Each is what a rebuild makes of the log."""
    code, document = await site.lethe("rebuild")
    assert code == 0, document
    different = [it["view"] for it in document["views"] if not it["equal"]]
    assert not different, f"not what the log says: {different}"
    rows = sum(it["rows"] for it in document["views"])
    return f"views: {len(document['views'])} equal their rebuild, {rows} rows"


def compare_states(site: Site, people: People) -> str:
    """The newest state of each record is the view's row; tombstones are exactly those of the erased."""
    found = tombstones = 0
    for view in STATES:
        rows = {
            UUID(it["id"]): it
            for (it,) in site.rows(f"SELECT to_jsonb(it) FROM {VIEW_OF_STATES[view]} AS it")  # noqa: S608
        }
        states = _states(site, view)
        _same(states, rows, f"states of {view}")
        for id_, state in states.items():
            subject = UUID(rows[id_]["subject_id"])
            if subject in people.erased:
                assert state is None, f"{view} {id_}: not a tombstone"
                continue
            assert state is not None, f"{view} {id_}: a tombstone"
            differing = _facts(state, rows[id_])
            assert not differing, f"{view} {id_}: {differing}"
            assert state["restricted"] is (subject in people.restricted), f"{view} {id_}: restricted"
        found += len(states)
        tombstones += sum(state is None for state in states.values())
    return f"state topics: {found} records, each as its view has it; {tombstones} are tombstones"


def compare_webhooks(site: Site) -> str:
    """What arrived, de-duplicated by id, is the log of its kinds, each record in order."""
    wanted = _of_kinds(logged(site.url), WEBHOOK_KINDS)
    arrived = site.inbox.first()
    _same(arrived, map(_id, wanted), "webhooks")
    _in_order(site.inbox.versions(), "webhooks")
    repeats = site.inbox.accepted - len(arrived)
    return f"webhooks: {len(arrived)} events received, 0 lost, 0 out of order, {repeats} received again"


async def compare_mirrors(site: Site, people: People) -> str:
    """Each has applied every event once, in order, and says what the API says."""
    kinds = [kind for kind, stream in record.STREAMS.items() if stream in mirror.STREAMS]
    wanted = [_id(it) for it in _of_kinds(logged(site.url), kinds)]
    async with site.admin() as http:
        customers = {it["id"]: it async for it in _listed(http, "/v1/customers")}
        tickets = {it["id"] async for it in _listed(http, "/v1/tickets", unresolved="true")}
    for it in site.mirrors:
        applied = asked(it, "SELECT id, record, version FROM applied ORDER BY turn")
        _same((id_ for id_, _, _ in applied), wanted, it.path.stem)
        assert len(applied) == len(wanted), f"{it.path.stem}: events applied twice"
        versions: dict[UUID, list[int]] = defaultdict(list)
        for _, record_id, version in applied:
            versions[UUID(record_id)].append(version)
        _in_order(versions, it.path.stem)
        _same(
            (id_ for (id_,) in asked(it, "SELECT id FROM open_tickets")), tickets, f"{it.path.stem}: tickets"
        )
        mirrored = asked(it, "SELECT id, subject_id, name FROM people")
        _same((id_ for id_, _, _ in mirrored), customers, f"{it.path.stem}: customers")
        _names(it, mirrored, customers, people)
    return (
        f"mirrors: {len(site.mirrors)}, each {len(wanted)} events once and in order, "
        f"{len(customers)} customers and {len(tickets)} open tickets as the API says; no name of the erased"
    )


def _names(
    it: Mirror, mirrored: Sequence[tuple[Any, ...]], customers: Mapping[str, Any], people: People
) -> None:
    """Of the erased none; of others the API's, though who was restricted may have been withheld."""
    for id_, subject, name in mirrored:
        if UUID(subject) in people.erased:
            assert name is None, f"{it.path.stem}: {id_} is erased, and named"
        elif UUID(subject) not in people.ever_restricted:
            assert name == customers[id_]["name"], f"{it.path.stem}: {id_} has another name"


async def compare_proofs(site: Site) -> str:
    """Log, trees, checkpoints, tombstones and ledger verify; keys are in order; everything is ready."""
    code, document = await site.lethe("verify", "--keys")
    assert code == 0, document
    if site.begun("keys"):
        code, document = await site.lethe("keys", "status")
        assert code == 0, document
    async with site.admin() as http:
        ready = await http.get("/readyz")
        assert ready.status_code == 200, ready.text
    assert site.rows("SELECT count(*) FROM views.dead_letters") == [(0,)]
    assert [asked(it, "SELECT count(*) FROM lethe_dead_letters") for it in site.mirrors] == [
        [(0,)] for _ in site.mirrors
    ]
    return "proofs: the log verifies, every key opens, /readyz says 200, no dead letters"


def behind(site: Site) -> dict[str, Any]:
    """Who has not come to the end of the log; and the webhook, as it stands."""
    kinds = [kind for kind, stream in record.STREAMS.items() if stream in mirror.STREAMS]
    ((last, wanted),) = site.rows(
        "SELECT max(position), count(*) FILTER (WHERE split_part(topic, '.', 1) = ANY (%s)) FROM log.events",
        [kinds],
    )
    found: dict[str, Any] = {
        "relay": last - site.rows("SELECT coalesce(max(position), 0) FROM log.relay")[0][0],
        "states": last - site.rows("SELECT coalesce(max(position), 0) FROM log.state_feeds")[0][0],
        "views": site.rows(
            "SELECT count(*) FROM log.events AS it WHERE NOT EXISTS"
            " (SELECT FROM timeline.entries WHERE entries.position = it.position)"
        )[0][0],
        "parked": site.rows("SELECT count(*) FROM views.dead_letters")[0][0],
    }
    for it in site.mirrors:
        found[it.path.stem] = wanted - int(asked(it, "SELECT count(*) FROM applied", default=0)[0][0])
    headers = site.api.headers
    hook = httpx.get(f"{site.api.url}/v1/webhooks/{site.webhook}", headers=headers, timeout=30)
    found |= {f"webhook {name}": hook.json()[name] for name in ("lag", "blocked", "cause")}
    return {name: it for name, it in found.items() if it}


def asked(it: Mirror, query: str, *, default: Any = None) -> list[tuple[Any, ...]]:
    """What a mirror's file answers; before it has tables, the default where there is one."""
    try:
        with closing(sqlite3.connect(f"file:{it.path}?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(query).fetchall()
    except sqlite3.OperationalError:
        if default is None:
            raise
        return [(default,)]


def _states(site: Site, view: str) -> dict[UUID, dict[str, Any] | None]:
    """The newest state of each record. Along the way: no partition goes back in a record's versions."""
    topic = record.state_topic(site.namespace, view)
    consumer = KafkaConsumer(
        bootstrap_servers=site.broker.address, enable_auto_commit=False, auto_offset_reset="earliest",
        metrics_enabled=False,
    )  # fmt: skip
    try:
        partitions = [TopicPartition(topic, it) for it in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        states: dict[UUID, dict[str, Any] | None] = {}
        versions: dict[UUID, int] = {}
        while any(consumer.position(it) < ends[it] for it in partitions):
            for it in chain.from_iterable(consumer.poll(timeout_ms=500).values()):
                id_, version = UUID(it.key.decode()), int(dict(it.headers)["lethe_version"])
                assert version >= versions.get(id_, 0), f"{view} {id_} goes back to {version}"
                versions[id_] = version
                states[id_] = None if it.value is None else json.decode(it.value)
        return states
    finally:
        consumer.close()


def _facts(state: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Public facts in which they differ. Moments are written in two ways, personal values lie elsewhere."""
    plain = [
        name
        for name, value in state.items()
        if name in row and not name.endswith(("_at", "_due")) and not isinstance(value, dict)
    ]
    assert {"id", "version", "position"} <= set(plain)
    return [name for name in plain if state[name] != row[name]]


async def _listed(http: httpx.AsyncClient, path: str, **query: str) -> Any:
    cursor = ""
    while cursor is not None:
        parameters = {"limit": str(PAGE), **query} | ({"cursor": cursor} if cursor else {})
        page = (await http.get(path, params=parameters)).raise_for_status().json()
        for it in page["items"]:
            yield it
        cursor = page["next"]


def _of_kinds(log: Iterable[Notification], kinds: Iterable[str]) -> list[Notification]:
    wanted = frozenset(kinds)
    return [it for it in log if it.topic.partition(".")[0] in wanted]


def _id(event: Notification) -> str:
    return str(json.decode(event.state)["id"])


def _same(found: Iterable[Any], wanted: Iterable[Any], what: str) -> None:
    """The same ids in both; those that are not are named."""
    there, expected = set(found), set(wanted)
    missing, stray = sorted(map(str, expected - there)), sorted(map(str, there - expected))
    assert not missing, f"{what}: {len(missing)} missing: {missing[:IDS_SHOWN]}"
    assert not stray, f"{what}: {len(stray)} that should not be there: {stray[:IDS_SHOWN]}"


def _in_order(versions: Mapping[Any, Sequence[int]], what: str) -> None:
    wrong = [str(id_) for id_, found in versions.items() if list(found) != list(range(1, len(found) + 1))]
    assert not wrong, f"{what}: out of order, or with gaps: {wrong[:IDS_SHOWN]}"
