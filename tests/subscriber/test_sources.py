"""The same subscriber over the feed of a running product, and over the topics that its relay fills."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from lethe_subscriber import (
    AnotherLog,
    HttpFeed,
    KafkaTopics,
    PostgreSQL,
    SQLite,
    Subscriber,
    SubscriberError,
)
from lethe_subscriber.events import (
    CustomerTagged,
    LeadCaptured,
    LeadContacted,
    TicketClosed,
    TicketOpened,
    TicketPrioritised,
)
from lethe_subscriber.sources import Source
from lethe_subscriber.stores import Store
from lethe_subscriber.values import Event

from infra.kafka.replay import Replayer, replay_topic
from infra.postgres.replays import PostgresReplays
from infra.replay import Replay
from tests.http.samples import ticket
from tests.http.stack import Running
from tests.subscriber.conftest import MakeSource, MakeStore, Topics

SEEN = (
    "CREATE TABLE IF NOT EXISTS seen"
    " (id TEXT PRIMARY KEY, aggregate_id TEXT, version BIGINT, position BIGINT)"
)
TICKETS = (TicketOpened, TicketPrioritised, TicketClosed)
SECONDS_MAX = 60


class Seeing:
    """A subscriber that writes down each event; it ends when it has seen all those it is to wait for."""

    def __init__(
        self,
        source: Source,
        store: Store[Any],
        types: tuple[type[Event], ...] = TICKETS,
        name: str = "seeing",
    ) -> None:
        self.store = store
        self.awaited: set[tuple[str, int]] = set()
        self.subscriber = Subscriber(name, source, store)
        self.subscriber.on(*types)(self._see)

    def run_until(self, *awaited: tuple[str, int]) -> None:
        """Until each of these versions of records is seen, now or before."""
        self.awaited = set(awaited) - {(id_, version) for id_, version, _ in self.seen()}
        if self.awaited:
            alarm = threading.Timer(SECONDS_MAX, self.subscriber.stop)
            alarm.start()
            self.subscriber.run()
            alarm.cancel()
        assert self.awaited == set()

    def seen(self) -> list[tuple[str, int, int]]:
        """Each record's versions and their positions, in the order of the log."""
        self.store.open([SEEN])
        rows = self.store.execute("SELECT aggregate_id, version, position FROM seen ORDER BY position")
        self.store.close()
        return [(id_, version, position) for id_, version, position in rows]

    def _see(self, event: Event, db: Any) -> None:
        record = str(event.aggregate_id), event.aggregate_version
        # The same event once more would break the key.
        self.store.execute(
            "INSERT INTO seen VALUES (%s, %s, %s, %s)", [str(event.id), *record, event.position]
        )
        self.awaited.discard(record)
        if not self.awaited:
            self.subscriber.stop()


@pytest.fixture
def opened(api: httpx.Client) -> Callable[[], str]:
    def open_one() -> str:
        answer = api.post("/v1/tickets", json=ticket())
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return open_one


@pytest.fixture
def reprioritised(api: httpx.Client) -> Callable[[str, str], None]:
    def judge(id_: str, impact: str) -> None:
        answer = api.post(f"/v1/tickets/{id_}/prioritise", json={"impact": impact, "urgency": "low"})
        assert answer.status_code == 200, answer.text

    return judge


def test_all_events_come_in_order_and_go_on_after_a_pause(
    make_source: MakeSource,
    make_store: MakeStore,
    opened: Callable[[], str],
    reprioritised: Callable[[str, str], None],
) -> None:
    one, two = opened(), opened()
    reprioritised(one, "low")
    seeing = Seeing(make_source(), make_store(SEEN))
    seeing.run_until((one, 2), (two, 1))
    reprioritised(one, "high")
    again = Seeing(make_source(), make_store(SEEN))
    again.run_until((one, 3))
    mine = [(id_, version) for id_, version, _ in again.seen() if id_ in (one, two)]
    assert mine == [(one, 1), (two, 1), (one, 2), (one, 3)]
    assert again.subscriber.dead_letters() == []
    assert again.subscriber.counts.handled < len(again.seen())


@pytest.mark.broker
def test_a_subscriber_changes_from_the_feed_to_kafka_and_back(
    server: Running,
    token: str,
    topics: Topics,
    tmp_path: Path,
    opened: Callable[[], str],
    reprioritised: Callable[[str, str], None],
) -> None:
    def feed() -> Source:
        return HttpFeed(server.url, token)

    def kafka() -> Source:
        return KafkaTopics(topics.address, topics.namespace)

    one = opened()
    Seeing(feed(), SQLite(tmp_path / "own.db")).run_until((one, 1))
    reprioritised(one, "low")
    changed = Seeing(kafka(), SQLite(tmp_path / "own.db"))
    changed.run_until((one, 2))
    assert changed.subscriber.counts.repeated > 0
    reprioritised(one, "high")
    back = Seeing(feed(), SQLite(tmp_path / "own.db"))
    back.run_until((one, 3))
    assert [version for id_, version, _ in back.seen() if id_ == one] == [1, 2, 3]
    assert back.subscriber.dead_letters() == []


@pytest.mark.broker
def test_a_late_subscriber_takes_a_replay_of_its_types_and_then_the_live_topics(
    server: Running,
    topics: Topics,
    tmp_path: Path,
    opened: Callable[[], str],
    reprioritised: Callable[[str, str], None],
) -> None:
    one = opened()
    reprioritised(one, "low")
    reprioritised(one, "high")
    replay = replayed(server, topics, "ticket.prioritised")
    source = KafkaTopics(topics.address, topics=[replay], group=replay, partial=True)
    late = Seeing(source, SQLite(tmp_path / "own.db"))
    late.run_until((one, 3))
    reprioritised(one, "low")
    live = Seeing(KafkaTopics(topics.address, topics.namespace), SQLite(tmp_path / "own.db"))
    live.run_until((one, 4))
    assert [version for id_, version, _ in live.seen() if id_ == one] == [2, 3, 4]
    assert live.subscriber.dead_letters() == []


def replayed(server: Running, topics: Topics, *types: str) -> str:
    """Publish what there is of these types again; the topic."""
    system, topic = server.system, replay_topic(topics.namespace, "late")
    replayer = Replayer(system.reader, PostgresReplays(system.pool), topics.address, topics.namespace)

    async def publish() -> None:
        await replayer.run(Replay("late", topic, frozenset(types), 0, await system.reader.end()))

    server.call(publish())
    return topic


@pytest.mark.broker
def test_members_of_a_group_share_the_work_and_one_leaves(
    topics: Topics, postgresql: str, opened: Callable[[], str], reprioritised: Callable[[str, str], None]
) -> None:
    members = [
        Seeing(KafkaTopics(topics.address, topics.namespace), PostgreSQL(postgresql, SEEN)) for _ in range(2)
    ]
    threads = [threading.Thread(target=it.subscriber.run, daemon=True) for it in members]
    for it in members:
        it.awaited = {("nothing", 0)}
    records = [opened() for _ in range(12)]
    for thread in threads:
        thread.start()
    watch = Seeing(KafkaTopics(topics.address, topics.namespace), PostgreSQL(postgresql, SEEN))
    try:
        until(lambda: {(id_, 1) for id_ in records} <= pairs(watch))
        for round_, impact in enumerate(("low", "high"), start=2):
            for id_ in records:
                reprioritised(id_, impact)
            if round_ == 2:
                members[0].subscriber.stop()
            until(lambda: {(id_, round_) for id_ in records} <= pairs(watch))  # noqa: B023
    finally:
        for it in members:
            it.subscriber.stop()
        for thread in threads:
            thread.join(SECONDS_MAX)
    assert all(it.subscriber.counts.parked == 0 for it in members)
    assert sum(it.subscriber.counts.handled for it in members) == len(watch.seen())


def test_a_stream_that_is_followed_later_is_read_from_its_beginning(
    server: Running, token: str, tmp_path: Path, api: httpx.Client, opened: Callable[[], str]
) -> None:
    lead = api.post("/v1/leads", json={"source": "fair"}).json()["id"]
    one = opened()
    store = SQLite(tmp_path / "own.db")
    Seeing(HttpFeed(server.url, token), store).run_until((one, 1))
    api.post(f"/v1/leads/{lead}/contact")
    two = opened()
    wider = Seeing(HttpFeed(server.url, token), store, (*TICKETS, LeadCaptured, LeadContacted))
    wider.run_until((lead, 1), (lead, 2), (two, 1))
    assert wider.subscriber.dead_letters() == []
    with sqlite3.connect(tmp_path / "own.db") as db:
        ends = dict(db.execute("SELECT part, settled_end FROM lethe_marks").fetchall())
    assert ends["tickets"] >= ends["leads"] > 0


def test_a_feed_can_begin_later(server: Running, token: str, tmp_path: Path, api: httpx.Client) -> None:
    made = api.post("/v1/tickets", json=ticket()).json()
    api.post(f"/v1/tickets/{made['id']}/close")
    feed = HttpFeed(server.url, token, after=made["position"])
    seeing = Seeing(feed, SQLite(tmp_path / "own.db", SEEN))
    seeing.run_until((made["id"], 2))
    assert pairs(seeing) == {(made["id"], 2)}


def test_a_source_of_another_log_is_refused(
    make_source: MakeSource, tmp_path: Path, opened: Callable[[], str]
) -> None:
    one = opened()
    Seeing(make_source(), SQLite(tmp_path / "own.db")).run_until((one, 1))
    with sqlite3.connect(tmp_path / "own.db") as db:
        db.execute("UPDATE lethe_marks SET last_id = 'of-another-log'")
    other = Seeing(make_source(), SQLite(tmp_path / "own.db"), (*TICKETS, CustomerTagged))
    with pytest.raises(AnotherLog):
        other.subscriber.run(until_caught_up=True)


@pytest.mark.broker
def test_topics_that_were_made_anew_are_refused(
    topics: Topics, tmp_path: Path, opened: Callable[[], str]
) -> None:
    one = opened()
    Seeing(KafkaTopics(topics.address, topics.namespace), SQLite(tmp_path / "own.db")).run_until((one, 1))
    with sqlite3.connect(tmp_path / "own.db") as db:
        db.execute("UPDATE lethe_marks SET settled_end = settled_end + 1000000")
    other = Seeing(KafkaTopics(topics.address, topics.namespace), SQLite(tmp_path / "own.db"))
    with pytest.raises(AnotherLog):
        other.subscriber.run(until_caught_up=True)


def test_what_is_written_while_it_waits_is_seen(
    make_source: MakeSource,
    tmp_path: Path,
    opened: Callable[[], str],
    reprioritised: Callable[[str, str], None],
) -> None:
    one = opened()
    seeing = Seeing(make_source(), SQLite(tmp_path / "own.db"))
    seeing.run_until((one, 1))
    writer = threading.Timer(0.3, reprioritised, [one, "low"])
    writer.start()
    seeing.run_until((one, 2))
    writer.join()


def test_to_unseal_there_must_be_an_api(tmp_path: Path) -> None:
    with pytest.raises(SubscriberError, match="needs an `Api`"):
        Subscriber("x", KafkaTopics("127.0.0.1:1"), SQLite(tmp_path / "own.db"), unseal=True)


def pairs(seeing: Seeing) -> set[tuple[str, int]]:
    return {(id_, version) for id_, version, _ in seeing.seen()}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
