"""Rows in PostgreSQL: what goes in comes out, whatever the texts are made of."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.model import Category, Sealed
from domain.values import CustomerKind, LawfulBasis, Stage
from infra.eventstore.mapper import EventMapper
from infra.postgres.database import open_pool
from infra.postgres.views.codec import NotSealed
from infra.postgres.views.columns import quoted
from infra.postgres.views.entries import enter
from infra.postgres.views.tables import CUSTOMERS, LEADS, load_rows, save_rows
from projections.directory import ContactRow, CustomerRow
from projections.pipeline import LeadRow
from tests.streams import stored_events

NOW = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
NASTY = ["NULL", "", " ", '"', "\\", "{a,b}", "it's, %s", "\n\ttab\x01", "ß 漢 😀\u2028\x7f", '\\"{},"\\']


def sealed(id: UUID, field: str, box: str = "Ym94") -> Sealed:
    return Sealed(
        subject_id=uuid4(),
        category=Category.IDENTITY,
        fingerprint="ab" * 32,
        box=box,
        field=field,
        originator_id=id,
        originator_version=1,
        topic="customer.registered",
        event_id=uuid4(),
    )


def customer(text: str) -> CustomerRow:
    id = uuid4()
    name = sealed(id, "name")
    return CustomerRow(
        id=id,
        subject_id=uuid4(),
        version=1,
        position=1,
        kind=CustomerKind.PERSON,
        source=text,
        lawful_basis=LawfulBasis.CONTRACT,
        purpose=text,
        registered_at=NOW,
        changed_at=NOW,
        organisation=text,
        tags=[text, *NASTY],
        name=name,
        contacts=[
            ContactRow(id=uuid4(), name=sealed(id, "name", "b3RoZXI="), email=sealed(id, "email", "b3RoZXI="))
        ],
    )


async def test_rows_come_back_as_they_were_written(database_url: str) -> None:
    rows, alone = ([customer(text) for text in NASTY] for _ in range(2))
    alone[0].organisation = None
    lead = LeadRow(
        id=uuid4(),
        subject_id=uuid4(),
        version=3,
        position=2**40,
        stage=Stage.WON,
        furthest=Stage.WON,
        source="web",
        captured_at=NOW,
        changed_at=NOW,
        value=Decimal("99999999999999.9999"),
        currency="EUR",
        expected_close_on=date(2026, 12, 31),
    )
    pool = await open_pool(database_url, size=1)
    async with pool.connection() as connection:
        assert await (await save_rows(connection, CUSTOMERS, rows)).written() == {row.id for row in rows}
        for row in alone:  # what it is made of decides how its whole column is written
            await save_rows(connection, CUSTOMERS, [row])
        rows += alone
        assert await load_rows(connection, CUSTOMERS, [row.id for row in rows]) == {
            row.id: row for row in rows
        }
        assert await (await save_rows(connection, LEADS, [lead])).written() == {lead.id}
        assert await load_rows(connection, LEADS, [lead.id]) == {lead.id: lead}
    await pool.close()


async def test_a_row_is_not_replaced_by_an_older_one(database_url: str) -> None:
    new, pool = customer("new"), await open_pool(database_url, size=1)
    new.version = 2
    old = customer("old")
    old.id = new.id
    async with pool.connection() as connection:
        await save_rows(connection, CUSTOMERS, [new])
        assert await (await save_rows(connection, CUSTOMERS, [old])).written() == set()
        assert (await load_rows(connection, CUSTOMERS, [new.id]))[new.id].source == "new"
    await pool.close()


async def test_writers_of_the_same_entries_in_whatever_order_do_not_wait_in_a_circle(
    database_url: str,
) -> None:
    stored = stored_events(2, records=2, kinds=["lead.qualified"])
    first, second = map(EventMapper("main").to_domain_event, stored)
    pool = await open_pool(database_url, size=3)
    async with pool.connection() as one, pool.connection() as other, pool.connection() as watcher:
        async with one.transaction():
            await enter(one, [first])
            late = asyncio.create_task(enter(other, [second, first]))
            async with asyncio.timeout(30):
                while not late.done():
                    cursor = await watcher.execute(
                        "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
                        [other.info.backend_pid],
                    )
                    if await cursor.fetchone() is not None:
                        break
                    await asyncio.sleep(0.01)
            await enter(one, [second])
        await late
        cursor = await watcher.execute("SELECT position FROM timeline.entries ORDER BY position")
        assert await cursor.fetchall() == [(first.position,), (second.position,)]
    await pool.close()


def test_a_clear_personal_value_is_never_encoded() -> None:
    row = customer("web")
    row.name = "Ann Lee"
    with pytest.raises(NotSealed) as refusal:
        CUSTOMERS.codec.encode([row])
    assert "Ann" not in str(refusal.value)


@settings(max_examples=200)
@given(st.text(st.characters(exclude_characters='"\\')))
def test_text_without_quotes_and_backslashes_is_only_put_in_quotes(text: str) -> None:
    assert quoted(text) == f'"{text}"'
