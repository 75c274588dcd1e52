"""What happens when a person is erased: facts that outlive the person and hold no personal data of theirs."""

from typing import Any, ClassVar
from uuid import UUID

from domain.model import Category, Created, Event, Public
from domain.values import ErasureGround


class ErasureEvent(Event):
    """Names the erased person by the pseudonym only; a reason is sealed under the request's own key."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class ErasureRequested(ErasureEvent, Created):
    """Somebody asked, on this ground, that the subject be erased: durable before anything is destroyed.

    Of these categories only; of everything, where none is named.
    """

    TOPIC: ClassVar[str] = "erasure.requested"
    class_version: ClassVar[int] = 2
    erased_subject_id: Public[UUID]
    ground: Public[ErasureGround]
    categories: Public[tuple[Category, ...]] = ()

    @staticmethod
    def upcast_v1_v2(fields: dict[str, Any]) -> None:
        fields["categories"] = ()  # in version 1 every erasure was of everything


class ErasureHeld(ErasureEvent):
    """A legal hold stands against it: nothing is destroyed until the hold is lifted, and then at once."""

    TOPIC: ClassVar[str] = "erasure.held"


class SubjectErased(ErasureEvent):
    """The subject's keys are destroyed; `fingerprints` are the destroyed keys'.

    Where `categories` are named only those are gone, and the subject lives on. `ledger_hash` is that of the
    erasure's entry in the ledger outside the database.
    """

    TOPIC: ClassVar[str] = "subject.erased"
    class_version: ClassVar[int] = 2
    erased_subject_id: Public[UUID]
    fingerprints: Public[tuple[str, ...]]
    categories: Public[tuple[Category, ...]] = ()
    ledger_hash: Public[str | None] = None

    @staticmethod
    def upcast_v1_v2(fields: dict[str, Any]) -> None:
        fields |= {"categories": (), "ledger_hash": None}

    def covers(self, category: Category) -> bool:
        """Whether what is sealed in this category is gone."""
        return not self.categories or category in self.categories


class ErasureAcknowledged(ErasureEvent):
    """A subscriber of the stream says that it has erased its own copies too."""

    TOPIC: ClassVar[str] = "erasure.acknowledged"
    subscriber: Public[str]


class ErasureSealed(ErasureEvent):
    """The key-encryption keys under which the erased keys had ever been wrapped are destroyed themselves.

    From this epoch on, no old copy of the key store, whether a backup, a replica or a write-ahead log, opens
    what was erased.
    """

    TOPIC: ClassVar[str] = "erasure.sealed"
    epoch: Public[int]
    kek_id: Public[str]
