"""Fills a log fast: customers, leads and tickets as commands would have left them. For benchmarks only.

Each story is decided and sealed once by the product itself; what it stored is the form in which all further
records are printed, each with ids, times, amounts and boxes of its own, sealed under its own keys. They go
in by COPY, past the appender: so there are no answers to commands.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from struct import Struct
from typing import Any, Final, cast
from uuid import UUID

import psycopg
import uuid_utils

from domain.customer.aggregate import Customer
from domain.lead.aggregate import Lead
from domain.model import Aggregate, Category, happening_at
from domain.ticket.aggregate import Ticket
from domain.values import (
    Channel,
    CurrencyCode,
    CustomerKind,
    EmailAddress,
    LawfulBasis,
    Level,
    Money,
    PhoneNumber,
)
from infra import json
from infra.eventstore.mapper import EventMapper
from infra.eventstore.sealing import Place, seal
from infra.kek import FileKekPlace, data_key_place, mint_many
from services.ports import CommandContext, Commit, DataKey

PROCESSES: Final = 2
RECORDS_A_PART: Final = 3_000
ROWS_A_WRITE: Final = 200
BEGIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
STEP: Final = timedelta(seconds=7)
RECORD, SUBJECT, OWNER, COMMAND = (UUID(int=0x5EED << 96 | it) for it in range(4))
AMOUNT: Final = "1250.50"
SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
LENGTH: Final = Struct("!i").pack
EVENT_HEAD: Final = Struct("!h i16s iq").pack
CLEAR: Final[Mapping[str, Callable[[int], str]]] = {
    "name": lambda number: f"Ada{number % 997} Becker{number % 7919}",
    "email": lambda number: f"person.{number}@example.com",
    "phone": lambda number: f"+44207946{number % 10_000:04}",
    "address": lambda number: f"{number % 300} Long Lane\nTown {number % 900}",
}


@dataclass(frozen=True, slots=True)
class Form:
    """How one event of a story is printed: its stored text, with places for what differs."""

    topic: str
    version: int
    text: str
    boxes: tuple[tuple[Category, tuple[str, ...]], ...]


def customer() -> Aggregate:
    """Registered, assigned, put into a segment, and written to."""
    it = Customer.register(
        id=RECORD,
        subject_id=SUBJECT,
        kind=CustomerKind.PERSON,
        source="web form",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="order fulfilment",
        name="a name",
        email=EmailAddress("a@example.com"),
        phone=PhoneNumber("+442079460000"),
        address="an address",
    )
    it.assign(owner_id=OWNER)
    it.segment(segment="gold")
    it.write_note(text="a note")
    return it


def lead() -> Aggregate:
    """Captured, contacted, qualified, won."""
    value = Money(amount=Decimal(AMOUNT), currency=CurrencyCode("EUR"))
    it = Lead.capture(
        id=RECORD,
        subject_id=SUBJECT,
        source="fair",
        product="GTX Pro",
        name="a name",
        email=EmailAddress("a@example.com"),
    )
    it.contact(note="a note")
    it.qualify(value=value)
    it.win(value=value)
    return it


def ticket() -> Aggregate:
    """Opened, assigned, answered, resolved and closed."""
    it = Ticket.open(
        id=RECORD,
        subject_id=SUBJECT,
        channel=Channel.EMAIL,
        impact=Level.MEDIUM,
        urgency=Level.LOW,
        subject="a subject",
        description="a description",
    )
    it.assign(team="Team North", agent_id=OWNER)
    it.send_reply(channel=Channel.EMAIL, text="an answer")
    it.resolve()
    it.close()
    return it


STORIES: Final = (customer, lead, ticket, lead)
"""Which a record tells, in turn: half of all records are leads."""
EVENTS_A_ROUND: Final = 17
"""That many events have one record of each."""


def forms_of(story: Callable[[], Aggregate], namespace: str) -> list[Form]:
    """The story's events as the product stores them."""
    mapper = EventMapper(namespace)
    with happening_at(BEGIN):
        aggregate = story()
    context = CommandContext(COMMAND, b"", str(OWNER), BEGIN, COMMAND)
    commit = Commit(
        context, aggregate.id, aggregate.subject_id, tuple(cast("Any", aggregate.collect_events()))
    )
    forms = []
    for recorded in mapper.envelop(commit, BEGIN):
        boxes = mapper.needs(recorded)
        keys = dict(zip(boxes, mint_many(len(boxes)), strict=True))
        stored = mapper.to_stored_event(recorded, keys)
        text = stored.state.decode().replace("%", "%%")
        for number, box in enumerate(json.decode(stored.state)["sealed"]):
            text = text.replace(box["box"], f"%(box{number})s").replace(box["key"], f"%(key{number})s")
        event = str(recorded.envelope.event_id)
        places = {event: "event", str(COMMAND): "event", str(RECORD): "record", str(SUBJECT): "subject"}
        places |= {str(OWNER): "owner", AMOUNT: "amount", json.encode(BEGIN).decode().strip('"'): "at"}
        for said, name in places.items():
            text = text.replace(said, f"%({name})s")
        fields = tuple((category, tuple(clear)) for (_, category), clear in boxes.items())
        forms.append(Form(stored.topic, stored.originator_version, text, fields))
    return forms


def fill(url: str, data: Path, events: int, *, namespace: str = "main", first: int = 0) -> float:
    """Add as many events, in whole stories, to the log that a system was opened on with this folder.

    `first`: the number of records that were made before, so that no two are alike. Answers with how many were
    written a second.
    """
    last = first + events * len(STORIES) // EVENTS_A_ROUND
    parts = [range(it, min(it + RECORDS_A_PART, last)) for it in range(first, last, RECORDS_A_PART)]
    work = partial(_fill_part, url, data, namespace)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.5] * PROCESSES))  # loading the product is none of the work
        began = time.perf_counter()
        written = sum(pool.map(work, parts))
        rate = written / (time.perf_counter() - began)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return rate


def _fill_part(url: str, data: Path, namespace: str, numbers: range) -> int:
    stories = [forms_of(story, namespace) for story in STORIES]
    people = [uuid_utils.uuid7() for _ in numbers]
    wanted = [
        (person, category)
        for number, person in zip(numbers, people, strict=True)
        for category in sorted({it for form in stories[number % len(STORIES)] for it, _ in form.boxes})
    ]
    keys = dict(zip(wanted, mint_many(len(wanted)), strict=True))
    wrapped = asyncio.run(_wrapped(data, namespace, keys))
    with psycopg.connect(url) as connection:
        _copy(connection, "keys.subjects (subject_id)", [_row(it.bytes) for it in people])
        _copy(
            connection,
            "keys.data_keys (subject_id, category, fingerprint, wrapped, epoch)",
            [
                _row(person.bytes, category.encode(), bytes.fromhex(key.fingerprint), box, LENGTH(1))
                for ((person, category), key), box in zip(keys.items(), wrapped, strict=True)
            ],
        )
        events = "log.events (originator_id, originator_version, topic, state)"
        _copy(connection, events, _printed(stories, namespace, numbers, people, keys))
    return sum(len(stories[number % len(stories)]) for number in numbers)


async def _wrapped(
    data: Path, namespace: str, keys: Mapping[tuple[Any, Category], DataKey]
) -> Sequence[bytes]:
    kek = await FileKekPlace(data / "kek").found()
    places = [
        data_key_place(namespace, subject_id, category, key.fingerprint)
        for (subject_id, category), key in keys.items()
    ]
    return await kek.wrap([key.secret for key in keys.values()], places)


def _printed(
    stories: Sequence[Sequence[Form]],
    namespace: str,
    numbers: range,
    people: Sequence[Any],
    keys: Mapping[Any, DataKey],
) -> Iterator[bytes]:
    """The events in rows: first what happened first to each of the records, then what came next."""
    chance = random.Random(numbers.start)
    records: list[Any] = [uuid_utils.uuid7() for _ in numbers]
    owners = [str(UUID(int=0x0A << 120 | it)) for it in range(40)]
    for step in range(max(len(story) for story in stories)):
        at = json.encode(BEGIN + STEP * (numbers.start + step)).decode().strip('"')
        for number, record, person in zip(numbers, records, people, strict=True):
            story = stories[number % len(stories)]
            if step >= len(story):
                continue
            form = story[step]
            event: Any = uuid_utils.uuid7()
            said = {
                "event": event, "record": record, "subject": person, "owner": owners[number % 40], "at": at,
                "amount": f"{chance.randrange(100, 90_000)}.50",
            }  # fmt: skip
            for place, (category, fields) in enumerate(form.boxes):
                key = keys[person, category]
                where = Place(namespace, record, form.version, form.topic, event, person, category)
                clear = {it: CLEAR[it](number) if it in CLEAR else f"{it} {number}" for it in fields}
                said[f"box{place}"], said[f"key{place}"] = seal(clear, key, where), key.fingerprint
            state, topic = (form.text % said).encode(), form.topic.encode()
            head = EVENT_HEAD(4, 16, record.bytes, 8, form.version)
            yield head + LENGTH(len(topic)) + topic + LENGTH(len(state)) + state


def _row(*fields: bytes) -> bytes:
    return len(fields).to_bytes(2, "big") + b"".join([LENGTH(len(it)) + it for it in fields])


def _copy(connection: "psycopg.Connection[Any]", into: str, rows: Iterator[bytes] | Sequence[bytes]) -> None:
    with connection.cursor().copy(f"COPY {into} FROM STDIN (FORMAT BINARY)".encode()) as copy:
        copy.write(SIGNATURE)
        coming = iter(rows)
        while some := b"".join(islice(coming, ROWS_A_WRITE)):
            copy.write(some)
        copy.write(TRAILER)
