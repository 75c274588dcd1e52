"""The proof of an export: a signed note that says what was handed over, and where the log's tree has it.

    lethe/export/1
    {
      "export_id", "what", "filters", "format", "exported_subject_id", "actor", "begun_at", "made_at",
      "count", "byte_count", "sha256": of the export's bytes, "covered_position", "position",
      "origin", "leaf": base64 of the leaf data of the event `export.made`,
      "leaf_index", "tree_size", "root_hash", "inclusion": [hex], "checkpoint": the signed checkpoint
    }

So a reader needs the file, the note and the log's key: the digest is the file's, the leaf says the same as
the note, the inclusion proof leads from the leaf to the checkpoint's root. Of a report in HTML the digest is
over all bytes before the comment `lethe/export/1`.
"""

import base64
from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from eventsourcing.persistence import Notification, StoredEvent

from domain.export.events import ExportAborted, ExportBegun, ExportMade
from infra import json
from infra.audit.leaves import stored_leaf
from infra.audit.note import Signer
from infra.audit.tree import Inclusion
from services.ports import Recorded, RecordNotFound, Refused

TEXT: Final = "lethe/export/1\n"


class ExportNotMade(Refused):
    """The export was not handed over to its end: there is nothing to prove."""


class ExportNotFound(RecordNotFound):
    """There is no such export."""


class Checkpoint(Protocol):
    """A signed checkpoint of the tree."""

    @property
    def size(self) -> int: ...

    @property
    def note(self) -> str: ...


class Tree(Protocol):
    """The tree over the log's events."""

    @property
    def signer(self) -> Signer: ...

    async def covered(self, position: int, timeout: float) -> Checkpoint | None: ...

    async def inclusion(self, position: int, size: int | None = None) -> Inclusion: ...


class RecordReader(Protocol):
    """Reads the stored events of one record."""

    async def events_of(self, originator_id: UUID) -> Sequence[Notification]: ...


class Decoder(Protocol):
    def to_domain_event(self, stored_event: StoredEvent) -> Recorded: ...


class Manifests:
    """Implements `infra.history.exporting.Proofs`. A manifest is made when it is asked for, and not kept."""

    def __init__(self, reader: RecordReader, mapper: Decoder, tree: Tree) -> None:
        self._reader = reader
        self._mapper = mapper
        self._tree = tree

    async def history(self, export_id: UUID) -> tuple[Recorded, Recorded | None]:
        """How the export began, and how it ended, if it did. Raises `ExportNotFound`."""
        return self._told(export_id, await self._reader.events_of(export_id))

    def _told(self, export_id: UUID, stored: Sequence[Notification]) -> tuple[Recorded, Recorded | None]:
        found = [self._mapper.to_domain_event(it) for it in stored]
        if not found or not isinstance(found[0].event, ExportBegun):
            raise ExportNotFound(export_id)
        ended = [it for it in found if isinstance(it.event, ExportMade | ExportAborted)]
        return found[0], ended[-1] if ended else None

    async def manifest(self, export_id: UUID, *, patience: float) -> str | None:
        """See the port. Raises `ExportNotFound`, or `ExportNotMade` for one that did not come to its end."""
        history = await self._reader.events_of(export_id)
        begun, ended = self._told(export_id, history)
        if ended is None or not isinstance(ended.event, ExportMade):
            raise ExportNotMade(export_id)
        checkpoint = await self._tree.covered(ended.position, patience)
        if checkpoint is None:
            return None
        inclusion = await self._tree.inclusion(ended.position, checkpoint.size)
        stored = next(it for it in history if it.id == ended.position)
        document = {
            "export_id": export_id,
            **ended.event.model_dump(
                mode="json", exclude={"originator_id", "originator_version", "timestamp"}
            ),
            "actor": begun.envelope.actor,
            "begun_at": begun.envelope.recorded_at,
            "made_at": ended.envelope.recorded_at,
            "position": ended.position,
            "origin": self._tree.signer.name,
            "leaf": base64.b64encode(stored_leaf(stored)).decode(),
            **_proven(inclusion, checkpoint),
        }
        return self._tree.signer.sign(TEXT + _indented(document))


def _proven(inclusion: Inclusion, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "leaf_index": inclusion.index,
        "tree_size": inclusion.size,
        "root_hash": inclusion.root.hex(),
        "inclusion": [it.hex() for it in inclusion.hashes],
        "checkpoint": checkpoint.note,
    }


def _indented(document: dict[str, Any]) -> str:
    return msgspec.json.format(json.encode(document), indent=2).decode() + "\n"
