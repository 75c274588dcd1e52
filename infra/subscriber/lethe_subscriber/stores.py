"""A subscriber's own database: what a handler writes and how far the stream is settled commit together."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Final, Generic, TypeVar

from lethe_subscriber.errors import HandlerEndedTransaction

C = TypeVar("C")
Row = tuple[Any, ...]
SAVEPOINT: Final = "lethe_event"


class Store(ABC, Generic[C]):
    """One connection `C`, which handlers are given. Belongs to one thread."""

    error: ClassVar[type[Exception]]
    """What its driver raises."""
    for_update: ClassVar[str]
    """What keeps others off the rows that are read, until the transaction ends."""

    @abstractmethod
    def open(self, tables: Sequence[str]) -> None:
        """Connect anew, and make these tables and the author's own where they are missing.

        Raises `Unreachable`.
        """

    @abstractmethod
    def close(self) -> None:
        """Disconnect. It may be opened again."""

    @property
    @abstractmethod
    def connection(self) -> C:
        """What handlers are given."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Everything in the block is stored at its end, or nothing. Raises `Unreachable` on an outage."""

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run it, `%s` standing for each value; the rows it gives."""

    @abstractmethod
    def is_outage(self, error: Exception) -> bool:
        """Whether the database is away, busy or full, so that it is no fault of the statement."""

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only the block where it raises. Raises `HandlerEndedTransaction`."""
        self.execute(f"SAVEPOINT {SAVEPOINT}")
        try:
            yield
        except Exception as error:
            if not self.is_outage(error):
                self._end(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            raise
        self._end(f"RELEASE SAVEPOINT {SAVEPOINT}")

    def _end(self, statement: str) -> None:
        try:
            self.execute(statement)
        except self.error as error:
            if self.is_outage(error):
                raise
            raise HandlerEndedTransaction(
                "a handler committed or rolled back: leave that to the subscriber"
            ) from None
