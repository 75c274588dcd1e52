"""What an import wants to store: drafts of records, their ids, and what it had to leave out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.model import Aggregate, happening_at
from infra.importing.mapping import AGGREGATES
from infra.importing.rows import Reason
from services.ports import BlindIndex


class Command(NamedTuple):
    """One verb of a draft; `at` None means when the first one happened, and for that: now."""

    verb: str
    at: datetime | None
    fields: dict[str, Any]


class Draft(Struct, frozen=True):
    """One record to create, all its commands in one commit.

    `digest` tells it from another content of the same key.
    """

    row: int
    kind: str
    id: UUID
    subject_id: UUID
    command_id: UUID
    digest: bytes
    commands: Sequence[Command]

    def __reduce__(self) -> tuple[Any, ...]:
        # As numbers, ids go to another process in half the time.
        ids = (self.id.int, self.subject_id.int, self.command_id.int)
        return _draft, (self.row, self.kind, *ids, self.digest, self.commands)

    def decide(self) -> Aggregate:
        """Make the aggregate. Runs inside `happening_at` the first command's time."""
        first, *further = self.commands
        create = getattr(AGGREGATES[self.kind], first.verb)
        aggregate: Aggregate = create(id=self.id, subject_id=self.subject_id, **first.fields)
        for command in further:
            decide = getattr(aggregate, command.verb)
            if command.at is None:
                decide(**command.fields)
            else:
                with happening_at(command.at):
                    decide(**command.fields)
        return aggregate


def _draft(
    row: int, kind: str, id: int, subject_id: int, command_id: int, digest: bytes, commands: Sequence[Command]
) -> Draft:
    ids = (UUID(int=id), UUID(int=subject_id), UUID(int=command_id))
    return Draft(row, kind, *ids, digest, commands)


class Rejected(Struct, frozen=True):
    """A row that is not imported, or (`omitted`) only without these fields."""

    row: int
    reasons: Sequence[Reason]
    omitted: bool = False


class Names:
    """Ids of imported records: keyed digests of their source keys.

    The same key gives the same id in any file and any order; without the namespace's own key nobody
    can find the id of a given person by trying (a bare hash of a name would be as good as the name).
    """

    def __init__(self, blind: BlindIndex, realm: str) -> None:
        self._blind = blind
        self._realm = realm

    def id(self, kind: str, key: str) -> UUID:
        """The id of the record."""
        return self._keyed(f"import:{kind}", key)

    def subject(self, kind: str, key: str) -> UUID:
        """The id of its data subject."""
        return self._keyed(f"import subject:{kind}", key)

    def command(self, kind: str, key: str) -> UUID:
        """The id of the command that imports it."""
        return self._keyed(f"import command:{kind}", key)

    def digest(self, content: bytes) -> bytes:
        """16 bytes that tell one content from another."""
        return self._blind.digest("import content", content.decode("utf-8"))[:16]

    def _keyed(self, purpose: str, key: str) -> UUID:
        bits = int.from_bytes(self._blind.digest(purpose, f"{self._realm}\0{key}")[:16], "big")
        # RFC 9562, version 8: the bits are the maker's own.
        bits = bits & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x8000 << 64 | 0x8000 << 48
        return UUID(int=bits)
