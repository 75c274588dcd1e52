"""How an unreachable database is answered: as `Unavailable`, by every adapter alike."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import OperationalError

from services.ports import Unavailable


@contextmanager
def unavailable_on_outage() -> Iterator[None]:
    """Turn what psycopg and its pool say of a lost, refusing or overloaded server into `Unavailable`.

    The cause stays chained for the log; its text is not repeated, for it may name hosts and roles.
    """
    try:
        yield
    except OperationalError as error:
        raise Unavailable("the database cannot be reached just now") from error
