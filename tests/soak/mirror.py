"""A subscriber that mirrors customers and tickets into SQLite, in a process to be killed.

Arguments: the file, the API's URL; and where events come from Kafka, its brokers and the namespace. It notes
each event that it applies, so that one lost, doubled or out of order is seen.
"""

import sqlite3
import sys

from lethe_subscriber import Api, Event, HttpFeed, SQLite, Subscriber
from lethe_subscriber.events import (
    EVENTS,
    CustomerRegistered,
    CustomerRenamed,
    SubjectErased,
    TicketClosed,
    TicketOpened,
    TicketReopened,
    TicketResolved,
)
from lethe_subscriber.sources import Source

NAME = "soak"
STREAMS = ("customers", "tickets", "erasures")
TYPES = [it for it in EVENTS.values() if it.STREAM in STREAMS]
TABLES = """
CREATE TABLE IF NOT EXISTS applied (turn INTEGER PRIMARY KEY, id TEXT, record TEXT, version INTEGER);
CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, subject_id TEXT, name TEXT);
CREATE TABLE IF NOT EXISTS open_tickets (id TEXT PRIMARY KEY);
"""


def apply(event: Event, db: sqlite3.Connection) -> None:
    """What the event changes in the mirror. Nothing is passed over in silence: what is there twice fails."""
    record = str(event.aggregate_id)
    db.execute(
        "INSERT INTO applied (id, record, version) VALUES (?, ?, ?)",
        [str(event.id), record, event.aggregate_version],
    )
    match event:
        case CustomerRegistered(subject_id=subject, name=name):
            db.execute("INSERT INTO people VALUES (?, ?, ?)", [record, str(subject), _told(name)])
        case CustomerRenamed(name=name):
            db.execute("UPDATE people SET name = ? WHERE id = ?", [_told(name), record])
        case SubjectErased(erased_subject_id=subject):
            db.execute("UPDATE people SET name = NULL WHERE subject_id = ?", [str(subject)])
        case TicketOpened() | TicketReopened():
            db.execute("INSERT INTO open_tickets VALUES (?)", [record])
        case TicketResolved() | TicketClosed():
            db.execute("DELETE FROM open_tickets WHERE id = ?", [record])
        case _:
            pass


def _told(name: object) -> str | None:
    """A name where it may be seen; what stands in its place is no name."""
    return name if isinstance(name, str) else None


def run(path: str, url: str, *kafka: str) -> None:
    source: Source = HttpFeed(url)
    if kafka:
        from lethe_subscriber import KafkaTopics

        source = KafkaTopics(*kafka, api=Api(url))
    subscriber = Subscriber(NAME, source, SQLite(path, TABLES), unseal=True)
    subscriber.on(*TYPES)(apply)
    subscriber.run()


if __name__ == "__main__":
    run(*sys.argv[1:])
