"""The blind index: who has which contact detail, by keyed digest, in step with the directory's rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection, sql

from domain.erasure.events import SubjectErased
from domain.model import Category, Sealed
from projections.directory import ContactDetail, DirectoryRow, canonical, contact_details
from projections.timeline import kind_of
from services.ports import BlindIndex, KeyLost, Recorded, Tampered, Unsealer

Detail: TypeAlias = tuple[UUID, UUID, ContactDetail]
"""Record, subject, and which detail: the key of a blind index row."""
Findable: TypeAlias = Mapping[Detail, Sealed]
"""What rows can be looked up by."""


def purpose(detail: ContactDetail) -> str:
    """What a contact detail's digest is for: part of what is digested, so never to be changed."""
    return f"directory.{detail}"


def findable(rows: Iterable[Any]) -> dict[Detail, Sealed]:
    """What the directory's rows can be looked up by, erased details left out."""
    found: dict[Detail, Sealed] = {}
    row: DirectoryRow
    for row in rows:
        for (subject_id, detail), handle in contact_details(row).items():
            if isinstance(handle, Sealed):
                found[row.id, subject_id, detail] = handle
    return found


class Digests:
    """Opens the contact details that events bring, and digests them."""

    def __init__(self, unsealer: Unsealer, blind: BlindIndex) -> None:
        self.unsealer = unsealer
        self.blind = blind

    async def of(self, batch: Sequence[Recorded]) -> Mapping[Sealed, bytes]:
        """The digests of the contact details that the batch brings, erased ones left out."""
        handles = _details(batch)
        opened = await self.unsealer.open(list(handles))
        return {
            handle: self.blind.digest(purpose(detail), canonical(detail, clear))
            for handle, detail in handles.items()
            if isinstance(clear := opened[handle], str)
        }

    async def apart(self, batch: Sequence[Recorded]) -> tuple[Mapping[Sealed, bytes], dict[int, Exception]]:
        """The same; and which events, by position, bring some that cannot be opened."""
        try:
            return await self.of(batch), {}
        except (KeyLost, Tampered) as error:
            if len(batch) == 1:
                return {}, {batch[0].position: error}
        middle = len(batch) // 2
        first, broken = await self.apart(batch[:middle])
        rest, broken_too = await self.apart(batch[middle:])
        return {**first, **rest}, broken | broken_too


class BlindRows:
    """The rows of the index; `suffix` names the schema beside the live one."""

    def __init__(self, suffix: str) -> None:
        self.table = sql.Identifier("directory" + suffix, "blind_index")

    async def move(
        self,
        connection: AsyncConnection[Any],
        before: Findable,
        after: Findable,
        digests: Mapping[Sealed, bytes],
    ) -> None:
        """Take out what rows can be looked up by no longer, and put in what is new."""
        gone = [key for key, handle in before.items() if after.get(key) != handle]
        if gone:
            await connection.execute(
                sql.SQL(
                    "DELETE FROM {} AS live "
                    "USING unnest(%s::uuid[], %s::uuid[], %s::text[]) AS gone (r, s, k) "
                    "WHERE live.record_id = gone.r AND live.subject_id = gone.s AND live.kind = gone.k"
                ).format(self.table),
                [list(it) for it in zip(*gone, strict=True)],
            )
        new = [(*key, digests[it]) for key, it in after.items() if before.get(key) != it and it in digests]
        if new:
            await connection.execute(
                sql.SQL(
                    "INSERT INTO {} AS live (record_id, subject_id, kind, digest) "
                    "SELECT new.* FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bytea[]) "
                    "AS new (record_id, subject_id, kind, digest) "
                    # Holds off an erasure until this transaction ends, so that no row outlives its purge.
                    "JOIN keys.hold_living(%s::uuid[], %s) AS living ON living.subject_id = new.subject_id "
                    "ON CONFLICT (record_id, subject_id, kind) DO UPDATE SET digest = excluded.digest"
                ).format(self.table),
                [
                    *(list(it) for it in zip(*new, strict=True)),
                    list({key[1] for key in new}),
                    Category.CONTACT,
                ],
            )

    async def purge(self, connection: AsyncConnection[Any], batch: Sequence[Recorded]) -> None:
        """Take the erased out of it, whether or not a view shows their erasure."""
        erased = [
            it.event.erased_subject_id
            for it in batch
            if isinstance(it.event, SubjectErased) and it.event.covers(Category.CONTACT)
        ]
        if erased:
            await connection.execute(
                sql.SQL("DELETE FROM {} WHERE subject_id = ANY (%s)").format(self.table), [erased]
            )


def _details(batch: Sequence[Recorded]) -> dict[Sealed, ContactDetail]:
    return {
        handle: detail
        for recorded in batch
        if kind_of(recorded.event.TOPIC) in ("customer", "member")
        for detail in ContactDetail
        if isinstance(handle := getattr(recorded.event, detail, None), Sealed)
    }
