"""The certificate of an erasure: what was done in each store, when, and what is not covered; signed.

    lethe/certificate/1
    { ... }

A signed note over flat JSON, described in docs/decisions/erasure-certificate.md. It brings along the leaf of
each event that it speaks of and the proof that the log's tree has it, so that the note and the log's key are
enough to verify it. Nothing personal is in it.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec
from eventsourcing.persistence import Notification

from domain.erasure.aggregate import ErasureNotCarriedOut
from domain.erasure.events import ErasureAcknowledged, ErasureRequested, ErasureSealed, SubjectErased
from domain.export.events import ExportMade
from domain.model import Category
from infra import json
from infra.audit.leaves import stored_leaf
from infra.audit.tree import AuditTree
from infra.backup.shelf import Shelf
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.knownsubscribers import certified, known_subscribers
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from services.backups import KnownBackup
from services.ports import Clock, Recorded, RecordNotFound

TEXT: Final = "lethe/certificate/1\n"
STATEMENT: Final = (
    "Cryptographic erasure: the keys under which the person's data was sealed are destroyed. What is left of"
    " it here is ciphertext without a key; what is not covered is listed. It is not anonymised: it can still"
    " be told that there was somebody, by a pseudonym, and what is public about their records."
)
EXPORTS: LiteralString = """
SELECT originator_id, originator_version, topic, state, position FROM log.events
WHERE topic = 'export.made' AND position < %s ORDER BY position
"""
STORE: LiteralString = """
INSERT INTO ledger.certificates (erasure_id, version, note, made_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (erasure_id, version) DO UPDATE SET note = excluded.note, made_at = excluded.made_at
"""
REPLAYED: LiteralString = "SELECT topic FROM log.replays ORDER BY topic"
STORED: LiteralString = (
    "SELECT erasure_id, note FROM ledger.certificates ORDER BY made_at, erasure_id, version"
)
PROJECTED: LiteralString = "SELECT coalesce(min(position), 0) FROM views.tracking WHERE source <> 'next'"


class ErasureNotFound(RecordNotFound):
    """There is no such erasure."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the log says of one erasure."""

    requested: Recorded
    erased: Recorded
    sealed: Recorded | None
    acknowledged: Sequence[Recorded]
    version: int

    @property
    def done(self) -> SubjectErased:
        event = self.erased.event
        assert isinstance(event, SubjectErased)  # noqa: S101 - `_told` took no other
        return event

    @property
    def acknowledged_at(self) -> Mapping[str, datetime]:
        return {
            it.event.subscriber: it.envelope.recorded_at
            for it in self.acknowledged
            if isinstance(it.event, ErasureAcknowledged)
        }

    @property
    def epoch(self) -> int | None:
        return (
            self.sealed.event.epoch if self.sealed and isinstance(self.sealed.event, ErasureSealed) else None
        )


@dataclass(frozen=True, slots=True)
class Around:
    """What there is beside the database: to whom copies may have gone."""

    topics: Sequence[str]
    subscribers: Sequence[str]
    """Those that are known to copy from the stream beside the registered ones, and are to acknowledge."""


class Certificates:
    """Issues certificates and keeps them."""

    def __init__(
        self,
        pool: Pool,
        reader: FencedReader,
        mapper: EventMapper,
        tree: AuditTree,
        shelf: Shelf,
        clock: Clock,
        around: Around,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._mapper = mapper
        self._tree = tree
        self._shelf = shelf
        self._clock = clock
        self._around = around

    async def issue(self, erasure_id: UUID, *, patience: float = 5.0) -> str | None:
        """The certificate as things stand now. None while the tree has not come to its events in that time.

        Raises `ErasureNotFound`, `ErasureNotCarriedOut` or `Unavailable`.
        """
        stored = await self._reader.events_of(erasure_id)
        told = _told(erasure_id, [self._mapper.to_domain_event(it) for it in stored])
        checkpoint = await self._tree.covered(stored[-1].id, patience)
        if checkpoint is None:
            return None
        now = self._clock.now()
        [(projected,)] = await self._rows(PROJECTED)
        document = {
            "erasure_id": erasure_id,
            "subject_id": told.done.erased_subject_id,
            "categories": list(told.done.categories),
            "fingerprints": list(told.done.fingerprints),
            "ledger_hash": told.done.ledger_hash,
            "statement": STATEMENT,
            "requested_at": told.requested.envelope.recorded_at,
            "erased_at": told.erased.envelope.recorded_at,
            "sealed_at": told.sealed and told.sealed.envelope.recorded_at,
            "sealed_epoch": told.epoch,
            "made_at": now,
            "origin": self._tree.signer.name,
            "stores": self._stores(told, projected),
            "backups": _backups(told, await self._shelf.known()),
            "exports": await self._exports(told),
            "topics": [*self._around.topics, *(topic for (topic,) in await self._rows(REPLAYED))],
            "subscribers": certified(
                await known_subscribers(self._pool, self._mapper),
                acknowledged=told.acknowledged_at,
                expected=self._around.subscribers,
                erased_position=told.erased.position,
                categories=told.done.categories,
            ),
            "events": [await self._proven(it, checkpoint.size) for it in stored],
            "tree_size": checkpoint.size,
            "root_hash": checkpoint.root.hex(),
            "checkpoint": checkpoint.note,
        }
        document["not_covered"] = _not_covered(document)
        text = msgspec.json.format(json.encode(document), indent=2).decode()
        note = self._tree.signer.sign(f"{TEXT}{text}\n")
        await self._keep(erasure_id, told.version, note, now)
        return note

    async def stored(self) -> Sequence[tuple[UUID, str]]:
        """All that were ever issued, by erasure, oldest first."""
        return [(erasure_id, note) for erasure_id, note in await self._rows(STORED)]

    async def _proven(self, stored: Notification, size: int) -> dict[str, Any]:
        inclusion = await self._tree.inclusion(stored.id, size)
        return {
            "topic": stored.topic,
            "position": stored.id,
            "leaf": base64.b64encode(stored_leaf(stored)).decode(),
            "leaf_index": inclusion.index,
            "inclusion": [it.hex() for it in inclusion.hashes],
        }

    def _stores(self, told: Told, projected: int) -> list[dict[str, Any]]:
        shown = projected >= told.erased.position
        indexes = "kept: contact data is not among the categories"
        if told.done.covers(Category.CONTACT):
            indexes = "the person's rows were deleted before the erasure was recorded"
        old_copies = (
            f"the key-encryption keys from before epoch {told.epoch} are destroyed: old copies do not open"
            if told.sealed
            else "old copies of the wrapped keys open until the next epoch of key-encryption keys begins"
        )
        return [
            _store("log", "the personal fields are ciphertext whose keys are destroyed; nothing was changed"),
            _store("key store", f"{len(told.done.fingerprints)} keys destroyed, and none is made any more"),
            _store("views", f"ciphertext only; brought up to position {projected}", covered=shown),
            _store("index of addresses", indexes),
            _store("index of names", "in memory only; dropped by each process as it reads the log"),
            _store("write-ahead log and old row versions", old_copies, covered=told.sealed is not None),
            _store("streams", "ciphertext only; keys are never sent"),
            _store("ledger", "entered outside the database before the keys were destroyed"),
        ]

    async def _exports(self, told: Told) -> list[dict[str, Any]]:
        rows = await self._rows(EXPORTS, told.erased.position)
        found = []
        for row in rows:
            event = self._mapper.to_domain_event(Notification(*row)).event
            assert isinstance(event, ExportMade)  # noqa: S101 - asked for by its topic
            if event.exported_subject_id in (None, told.done.erased_subject_id):
                of_them = event.exported_subject_id is not None
                found.append(
                    {
                        "export_id": event.originator_id,
                        "made_at": event.timestamp,
                        "about": "this person" if of_them else "many; may include this person",
                        "covered": False,
                    }
                )
        return found

    async def _keep(self, erasure_id: UUID, version: int, note: str, now: datetime) -> None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(STORE, [erasure_id, version, note, now])

    async def _rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await (await connection.execute(query, values)).fetchall()


def _told(erasure_id: UUID, history: Sequence[Recorded]) -> Told:
    if not history or not isinstance(history[0].event, ErasureRequested):
        raise ErasureNotFound(erasure_id)
    erased = [it for it in history if isinstance(it.event, SubjectErased)]
    if not erased:
        raise ErasureNotCarriedOut(erasure_id)
    sealed = [it for it in history if isinstance(it.event, ErasureSealed)]
    return Told(
        requested=history[0],
        erased=erased[0],
        sealed=sealed[0] if sealed else None,
        acknowledged=[it for it in history if isinstance(it.event, ErasureAcknowledged)],
        version=history[-1].originator_version,
    )


def _store(name: str, done: str, *, covered: bool = True) -> dict[str, Any]:
    return {"store": name, "done": done, "covered": covered}


def _backups(told: Told, known: Sequence[KnownBackup]) -> list[dict[str, Any]]:
    """The backups from before the keys were destroyed."""
    found = []
    for it in known:
        if it.snapshot_position >= told.erased.position:
            continue
        ended = told.epoch is not None and it.epoch < told.epoch
        fate = "not covered: it holds the keys as they were, until they are sealed"
        if ended:
            fate = f"useless since epoch {told.epoch}: nothing in it opens any more"
        elif it.deleted_at is not None:
            fate = "its file was deleted"
        found.append(
            {
                "backup_id": it.id,
                "made_at": it.made_at,
                "made_in_epoch": it.epoch,
                "deleted_at": it.deleted_at,
                "covered": ended,
                "fate": fate,
            }
        )
    return found


def _not_covered(document: dict[str, Any]) -> list[str]:
    """In plain words."""
    found = [f"{it['store']}: {it['done']}" for it in document["stores"] if not it["covered"]]
    found += [f"backup {it['backup_id']}: {it['fate']}" for it in document["backups"] if not it["covered"]]
    found += [
        f"export {it['export_id']}, of {it['about']}: it left the system, and is with whoever received it"
        for it in document["exports"]
    ]
    found += [
        f"subscriber {it['name']}: it has not acknowledged{', and follows no more' if it['ended_at'] else ''}"
        for it in document["subscribers"]
        if it["acknowledged_at"] is None
    ]
    if document["categories"]:
        found.append("the other categories of the person's data: they were not to be erased")
    found.append("what people remember, printed or copied while they were allowed to see it")
    return found
