"""An export under way: recorded before its first byte, hashed as it leaves, recorded again as it ended.

Nothing of it is kept: what is proven is a digest. It counts as handed over what the server took.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from domain.model import Category
from domain.values import ExportFormat
from infra.ending import leave
from infra.history.formats import Item, Title, writer_of
from services.exports import Exports
from services.ports import CommandContext

PROOF_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Items, and whose values of which categories they show."""

    items: Sequence[Item]
    subjects: AbstractSet[UUID] = field(default_factory=frozenset)
    categories: AbstractSet[Category] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be exported. `filters` are told in the log: they hold nothing personal."""

    what: str
    filters: Mapping[str, str]
    format: ExportFormat
    exported_subject_id: UUID | None = None


class Proofs(Protocol):
    """Makes the manifests of exports."""

    async def manifest(self, export_id: UUID, *, patience: float) -> str | None:
        """The signed note of an export that was made; None while the tree does not cover it."""
        ...


Note = Callable[[AbstractSet[UUID], AbstractSet[Category], int], Awaitable[None]]
"""Puts down whose values are handed over, before they are: subjects, categories, how many items."""


class Exporting:
    """One export. `context_of` makes a command of the caller's, anew for each."""

    def __init__(
        self,
        id: UUID,
        wanted: Wanted,
        *,
        exports: Exports,
        proofs: Proofs,
        context_of: Callable[[], CommandContext],
        note: Note,
        covered_position: int,
    ) -> None:
        self.id = id
        self._wanted = wanted
        self._exports = exports
        self._proofs = proofs
        self._context_of = context_of
        self._note = note
        self._covered_position = covered_position
        context = context_of()
        title = Title(wanted.what, wanted.filters, str(id), context.actor, context.occurred_at)
        self._writer = writer_of(wanted.format, title)
        self._digest = hashlib.sha256()
        self._byte_count = 0
        self._count = 0
        self._made = False

    @property
    def media_type(self) -> str:
        return self._writer.media_type

    @property
    def count(self) -> int:
        """How many items were handed over."""
        return self._count

    async def begin(self) -> None:
        """Record that it begins: durable before anything leaves."""
        await self._exports.begin(
            id=self.id,
            what=self._wanted.what,
            filters=self._wanted.filters,
            format=self._wanted.format,
            covered_position=self._covered_position,
            exported_subject_id=self._wanted.exported_subject_id,
            context=self._context_of(),
        )

    async def parts(self, batches: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
        """The export, to be handed over as it comes. Left off before its end, it is recorded as aborted."""
        try:
            yield self._counted(self._writer.head())
            async for batch in batches:
                await self._note(batch.subjects, batch.categories, len(batch.items))
                self._count += len(batch.items)
                yield self._counted(b"".join(map(self._writer.item, batch.items)))
            yield self._counted(self._writer.tail(self._count))
            await self._complete()
            yield await self._proof()
        finally:
            if not self._made:
                # The caller's task may be cancelled: whatever it waited for here would not be.
                leave(asyncio.create_task(self._abort(), name=f"export {self.id}"))

    def _counted(self, part: bytes) -> bytes:
        self._digest.update(part)
        self._byte_count += len(part)
        return part

    async def _complete(self) -> None:
        await self._exports.complete(
            id=self.id,
            count=self._count,
            byte_count=self._byte_count,
            sha256=self._digest.hexdigest(),
            context=self._context_of(),
        )
        self._made = True

    async def _abort(self) -> None:
        await self._exports.abort(
            id=self.id, count=self._count, byte_count=self._byte_count, context=self._context_of()
        )

    async def _proof(self) -> bytes:
        """What the file itself says of its proof; only a report does."""
        if not self._writer.proof(""):
            return b""
        manifest = await self._proofs.manifest(self.id, patience=PROOF_SECONDS_MAX)
        missing = f"Not in the tree yet. It is at /v1/exports/{self.id}/manifest in a moment.\n"
        return self._writer.proof(manifest or missing)
