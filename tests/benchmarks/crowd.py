"""A crowd to read: customers with sealed names and addresses, as commands would have left them, by COPY.

Log, key store and view hold what thousands of commands a second would take a minute to write. What makes a
table large only (`pad`) is copied inside PostgreSQL: rows as wide as the others that nobody asks for.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import psycopg
from uuid_utils.compat import uuid7

from domain.customer.aggregate import Customer
from domain.lead.aggregate import Lead
from domain.member.aggregate import Member
from domain.model import Aggregate, Event, happening_at
from domain.values import CustomerKind, EmailAddress, LawfulBasis, PhoneNumber
from infra.eventstore.mapper import EventMapper
from infra.kek import FileKekPlace, data_key_place, mint_many
from infra.postgres.database import open_pool
from infra.postgres.keystore import key_ring_at
from infra.postgres.views.tables import CUSTOMERS, MEMBERS, Table, save_rows
from services.ports import Commit, DataKey, KeyName
from tests.projections.worlds import NAMESPACE, at

OWNERS: Final = 40
BATCH: Final = 2_500
PROCESSES: Final = 2
NOW: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
FIRST: Final = "Ada Bela Chidi Dana Emre Farid Greta Hana Ivo Jules Kofi Lena".split()  # noqa: SIM905
SYLLABLES: Final = "ba dor fen gil hux jam kel lor mun nis pra quo rik sta".split()  # noqa: SIM905
ENDINGS: Final = "abara becker castro dubois eriksen ferrari garcia horvat ito jansen".split()  # noqa: SIM905
EVENTS: Final = dict(
    zip(
        ("position", "originator_id", "originator_version", "topic", "state"),
        ("int8", "uuid", "int8", "text", "bytea"),
        strict=True,
    )
)
KEYS: Final = dict(
    zip(
        ("subject_id", "category", "fingerprint", "wrapped", "epoch"),
        ("uuid", "text", "bytea", "bytea", "int4"),
        strict=True,
    )
)
LOG: Final = """
INSERT INTO log.events (position, originator_id, originator_version, topic, state)
SELECT position, originator_id, originator_version, topic, state FROM aside ORDER BY position
"""
PAD: Final = """
WITH made AS (
    INSERT INTO directory.customers
    SELECT gen_random_uuid(), gen_random_uuid(), 2, -number, 'organisation', source, lawful_basis, purpose,
           registered_at, changed_at, 'Company ' || number,
           (ARRAY['retail', 'energy', 'health', 'rail'])[1 + number %% 4], number %% 900,
           (ARRAY['DE', 'FR', 'GB', 'IT', 'NL', 'PL', 'SE', 'ES'])[1 + number %% 8], NULL, NULL, owner_id,
           (ARRAY['gold', 'silver', 'bronze', 'new'])[1 + number %% 4], ARRAY['tag' || number %% 500],
           number %% 20 = 0, sealed
    FROM (SELECT * FROM directory.customers LIMIT 1) AS one,
         generate_series(1, %(rows)s - (SELECT count(*) FROM directory.customers)) AS number
    RETURNING subject_id
), known AS (
    INSERT INTO keys.subjects (subject_id) SELECT subject_id FROM made
)
INSERT INTO keys.data_keys (subject_id, category, fingerprint, wrapped, epoch)
SELECT subject_id, 'identity', sha256(uuid_send(subject_id)), decode(repeat('00', 60), 'hex'), 1
FROM made
"""


def name_of(number: int) -> str:
    """A person's name: first names are common, of last names each is some people's."""
    a, b, c = number % 14, number // 14 % 14, number // 196 % 14
    last = f"{SYLLABLES[a]}{SYLLABLES[b]}{SYLLABLES[c]}{ENDINGS[number % 10]}".capitalize()
    return f"{FIRST[number % 12]} {last}"


def fill(url: str, data: Path, *, customers: int, leads: int = 0) -> None:
    """So many more customers with an owner, in view and key store; and leads, in the latter only.

    Their events lie aside until `log` puts them into the log.
    """
    asyncio.run(_found(url, data))
    owners, position = _begin(url, data)
    numbers = [("customer", it) for it in range(customers)] + [("lead", it) for it in range(leads)]
    parts = [numbers[it : it + BATCH] for it in range(0, len(numbers), BATCH)]
    positions = range(position, position + len(parts) * 2 * BATCH, 2 * BATCH)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_fill_part, url, data, owners), positions, parts))
    _analyze(url)


def log(url: str) -> None:
    """Everything that lies aside."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(LOG)
        connection.execute("SELECT setval('log.positions', (SELECT max(position) FROM log.events))")
    _analyze(url)


def _begin(url: str, data: Path) -> tuple[list[UUID], int]:
    """The owners, made where there are none yet; and the position from which there is room."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS aside (LIKE log.events INCLUDING DEFAULTS)")
        owners = [it for (it,) in connection.execute("SELECT id FROM directory.members")]
    if not owners:
        with happening_at(NOW):
            members = [_member(number) for number in range(OWNERS)]
        asyncio.run(_fill(url, data, members, MEMBERS, 0))
        owners = [it.id for it in members]
    with psycopg.connect(url) as connection:
        [(last,)] = connection.execute("SELECT max(position) FROM aside")
    return owners, last


def _analyze(url: str) -> None:
    """Also write out what was copied: else it is written beside whatever is measured next."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


async def _found(url: str, data: Path) -> None:
    """The key store, and the KEK in the place where a system looks for it."""
    pool = await open_pool(url, size=1)
    await key_ring_at(pool, FileKekPlace(data / "kek"), namespace=NAMESPACE)
    await pool.close()


def _fill_part(
    url: str, data: Path, owners: Sequence[UUID], position: int, part: Sequence[tuple[str, int]]
) -> None:
    with happening_at(NOW):
        customers = [_customer(number, owners) for kind, number in part if kind == "customer"]
        leads = [_lead(number) for kind, number in part if kind == "lead"]
    asyncio.run(_fill(url, data, customers, CUSTOMERS, position))
    # A customer has two events at most.
    asyncio.run(_fill(url, data, leads, None, position + 2 * len(customers)))


def _customer(number: int, owners: Sequence[UUID]) -> Aggregate:
    it = Customer.register(
        id=uuid7(),
        subject_id=uuid7(),
        kind=CustomerKind.PERSON,
        source="web form",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="order fulfilment",
        name=name_of(number),
        email=EmailAddress(f"person.{number}@example.com"),
        phone=PhoneNumber("+442079460000"),
        address="12 Long Lane, York",
    )
    it.assign(owner_id=owners[number % OWNERS])
    return it


def _lead(number: int) -> Aggregate:
    return Lead.capture(id=uuid7(), subject_id=uuid7(), source="fair", name=name_of(number))


def _member(number: int) -> Aggregate:
    return Member.register(id=uuid7(), subject_id=uuid7(), name=name_of(number))


async def _fill(
    url: str, data: Path, aggregates: Sequence[Aggregate], table: Table[Any] | None, position: int
) -> None:
    """Store the aggregates' events from this position on, with the keys; and the rows of the table."""
    mapper = EventMapper(NAMESPACE)
    rows: dict[UUID, Any] = {}
    stored: list[tuple[Any, ...]] = []
    recorded = [
        event
        for it in aggregates
        for event in mapper.envelop(
            Commit(at(), it.id, it.subject_id, tuple(cast("list[Event]", it.collect_events()))), NOW
        )
    ]
    keys, kept = await _minted(data, {name for it in recorded for name in mapper.needs(it)})
    for event in recorded:
        position += 1
        it = mapper.to_stored_event(event, keys)
        stored.append((position, it.originator_id, it.originator_version, it.topic, it.state))
        if table is not None:
            table.project(rows, msgspec.structs.replace(mapper.to_domain_event(it), position=position))
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await _copy(
            connection, "keys.subjects", {"subject_id": "uuid"}, [(it,) for it in {row[0] for row in kept}]
        )
        await _copy(connection, "keys.data_keys", KEYS, kept)
        await _copy(connection, "aside", EVENTS, stored)
        if table is not None:
            await save_rows(connection, table, list(rows.values()))


async def _minted(
    data: Path, names: Collection[KeyName]
) -> tuple[Mapping[KeyName, DataKey], list[tuple[Any, ...]]]:
    """A key for each name, and the rows of the key store."""
    keys = dict(zip(names, mint_many(len(names)), strict=True))
    places = [data_key_place(NAMESPACE, *name, key.fingerprint) for name, key in keys.items()]
    kek = await FileKekPlace(data / "kek").found()
    wrapped = await kek.wrap([key.secret for key in keys.values()], places)
    return keys, [
        (subject_id, str(category), bytes.fromhex(key.fingerprint), box, 1)
        for ((subject_id, category), key), box in zip(keys.items(), wrapped, strict=True)
    ]


async def _copy(
    connection: psycopg.AsyncConnection[Any],
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    query = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    async with connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            await copy.write_row(row)


def pad(url: str, rows: int) -> None:
    """Further customers until there are so many `rows`, and a key of each: nobody asks for them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PAD, {"rows": rows})
    _analyze(url)
