"""Whose fault a fault is: an unreachable database is answered as `Unavailable`, by every adapter alike."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from psycopg import DataError, Error, IntegrityError, InterfaceError, OperationalError
from psycopg.errors import FeatureNotSupported, InvalidSchemaName, UndefinedColumn, UndefinedTable

from infra.kek.keys import KekUnusable, KeyStoreUnfit
from services.ports import Unavailable, VersionConflict

SURROUNDINGS = (Unavailable, KekUnusable, KeyStoreUnfit, VersionConflict, OSError, MemoryError)
"""What fails because of these succeeds once they are well, whatever it works on."""


@contextmanager
def unavailable_on_outage() -> Iterator[None]:
    """Turn what psycopg and its pool say of a lost, refusing or overloaded server into `Unavailable`.

    The cause stays chained for the log; its text is not repeated, for it may name hosts and roles.
    """
    try:
        yield
    except OperationalError as error:
        raise Unavailable("the database cannot be reached just now") from error


@asynccontextmanager
async def answering(seconds_max: float, who: str) -> AsyncIterator[None]:
    """The same of one connection, on which somebody waits so long at most; `who` is told of."""
    try:
        with unavailable_on_outage():
            async with asyncio.timeout(seconds_max):
                yield
    except (TimeoutError, InterfaceError) as error:
        raise Unavailable(f"{who} does not answer") from error


@contextmanager
def unavailable_while_rebuilt() -> Iterator[None]:
    """The same for whoever reads a view: one that is gone, or of another release's form, is built anew."""
    try:
        with unavailable_on_outage():
            yield
    except (UndefinedTable, UndefinedColumn, InvalidSchemaName, FeatureNotSupported) as error:
        # The last: a statement prepared for columns of another type.
        raise Unavailable("the view is being built anew") from error


def is_of_event(error: Exception) -> bool:
    """Whether the event that was worked on is to blame: the same will happen however often it is tried.

    Not where the surroundings fail: a database or a key-encryption key that is away, a table that is gone.
    A key that is lost, a box that does not open, a value that its column does not take, and whatever else a
    program stumbles over, are the event's.
    """
    if isinstance(error, Error):
        return isinstance(error, DataError | IntegrityError)
    return not isinstance(error, SURROUNDINGS)
