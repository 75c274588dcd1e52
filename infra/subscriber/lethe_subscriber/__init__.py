"""Follow the events of a Lethe: typed, each effect once, in each record's order, the erased as values.

subscriber = Subscriber("mirror", HttpFeed("http://127.0.0.1:8080"), SQLite("mirror.db"))

@subscriber.on(TicketOpened)
def opened(event: TicketOpened, db: sqlite3.Connection) -> None: ...

subscriber.run()
"""

from typing import TYPE_CHECKING, Any

from lethe_subscriber.api import Api
from lethe_subscriber.errors import (
    AnotherLog,
    Gap,
    HandlerEndedTransaction,
    NewerVersion,
    NoSuchLetter,
    NotAllowed,
    NotFirst,
    Refused,
    SubscriberError,
    Unreachable,
)
from lethe_subscriber.feed import HttpFeed
from lethe_subscriber.ledger import DeadLetter
from lethe_subscriber.sqlite import SQLite
from lethe_subscriber.subscriber import Subscriber
from lethe_subscriber.values import Envelope, Erased, Event, Money, Personal, Withheld

if TYPE_CHECKING:
    from lethe_subscriber.postgresql import PostgreSQL
    from lethe_subscriber.topics import KafkaTopics

__all__ = [
    "AnotherLog",
    "Api",
    "DeadLetter",
    "Envelope",
    "Erased",
    "Event",
    "Gap",
    "HandlerEndedTransaction",
    "HttpFeed",
    "KafkaTopics",
    "Money",
    "NewerVersion",
    "NoSuchLetter",
    "NotAllowed",
    "NotFirst",
    "Personal",
    "PostgreSQL",
    "Refused",
    "SQLite",
    "Subscriber",
    "SubscriberError",
    "Unreachable",
    "Withheld",
]


def __getattr__(name: str) -> Any:
    """What needs an extra is loaded when it is asked for."""
    if name == "KafkaTopics":
        from lethe_subscriber.topics import KafkaTopics

        return KafkaTopics
    if name == "PostgreSQL":
        from lethe_subscriber.postgresql import PostgreSQL

        return PostgreSQL
    raise AttributeError(name)
