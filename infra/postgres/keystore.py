"""The key store at the start: the right one, under the right key, or no start at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import InvalidSchemaName, UndefinedFunction, UndefinedTable
from psycopg_pool import AsyncConnectionPool

from infra import json
from infra.kek import KekUnusable, KeyEncryptionKey, KeyStoreUnfit, canary_place, open_kek
from infra.outage import unavailable_on_outage
from infra.postgres.keyring import CACHED_SECONDS_MAX, PostgresKeyRing

Pool = AsyncConnectionPool[AsyncConnection[Any]]
CANARY = b"the key-encryption key of this key store opens this"
WITNESSES_MAX = 200


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key store it is, as it says itself."""

    namespace: str
    kek_id: str
    canary: bytes


async def open_key_ring(
    pool: Pool, *, kek_reference: str, namespace: str, cache_seconds: float = CACHED_SECONDS_MAX
) -> PostgresKeyRing:
    """The namespace's key ring. Only for a new namespace, whose log is empty, is one founded and a KEK made.

    Raises `KeyStoreUnfit` where the key store is missing, emptied, another namespace's, or wrapped under
    another KEK, and `KekUnusable` where the KEK cannot be had: never is such a store asked about a key.
    """
    with unavailable_on_outage():
        async with pool.connection() as connection:
            # In this order: another process may found the store and write, between the two.
            events = await _first_and_last(connection)
            identity = await _identity(connection)
            if identity is None:
                if events:
                    raise KeyStoreUnfit(
                        "the key store is empty, though the log is not: restore the key store"
                    )
                identity, kek = await _found(connection, kek_reference, namespace)
            else:
                kek = open_kek(kek_reference, create=False)
            await _check(identity, kek, namespace)
            await _check_witnesses(connection, _boxes(events))
    return PostgresKeyRing(pool, kek, namespace, cache_seconds=cache_seconds)


async def _identity(connection: AsyncConnection[Any]) -> Identity | None:
    try:
        row = await (await connection.execute("SELECT * FROM keys.identity()")).fetchone()
    except (InvalidSchemaName, UndefinedFunction, UndefinedTable):
        raise KeyStoreUnfit(
            "the key store is missing: the schema keys is not whole in this database"
        ) from None
    return None if row is None else Identity(*row)


async def _found(
    connection: AsyncConnection[Any], kek_reference: str, namespace: str
) -> tuple[Identity, KeyEncryptionKey]:
    kek = open_kek(kek_reference, create=True)
    [canary] = await kek.wrap([CANARY], [canary_place(namespace)])
    await connection.execute("SELECT keys.found(%s, %s, %s)", (namespace, kek.id, canary))
    founded = await _identity(connection)  # another process may have been first
    if founded is None:
        raise KeyStoreUnfit("the key store does not keep what is written to it")
    return founded, kek


async def _check(identity: Identity, kek: KeyEncryptionKey, namespace: str) -> None:
    if identity.namespace != namespace:
        raise KeyStoreUnfit(f"the key store is of the namespace {identity.namespace!r}, not {namespace!r}")
    if kek.id != identity.kek_id:
        raise KekUnusable(f"the KEK is {kek.id}, but the key store is wrapped under {identity.kek_id}")
    if await kek.unwrap([identity.canary], [canary_place(namespace)]) != [CANARY]:
        raise KeyStoreUnfit(f"the key store's check value does not open under {kek.id}: it was changed")


@dataclass(frozen=True, slots=True)
class Witness:
    """A box of the log, by the key that it names."""

    position: int
    subject_id: UUID
    category: str
    fingerprint: str


async def _first_and_last(connection: AsyncConnection[Any]) -> list[tuple[int, bytes]]:
    """The log's first and last events: positions and stored bytes."""
    events = await connection.execute(
        "(SELECT position, state FROM log.events ORDER BY position LIMIT %(n)s) UNION ALL "
        "(SELECT position, state FROM log.events ORDER BY position DESC LIMIT %(n)s)",
        {"n": WITNESSES_MAX},
    )
    return await events.fetchall()


def _boxes(events: Iterable[tuple[int, bytes]]) -> list[Witness]:
    found: list[Witness] = []
    for position, state in events:
        try:
            found += [
                Witness(position, UUID(box["subject"]), box["category"], box["key"])
                for box in json.decode(state)["sealed"]
            ]
        except (KeyError, TypeError, ValueError):
            raise KeyStoreUnfit(f"the event at position {position} is not in the stored form") from None
    return found


async def _check_witnesses(connection: AsyncConnection[Any], witnesses: Sequence[Witness]) -> None:
    """An older or emptied key store has the right canary still; it does not know the log's keys."""
    rows = await connection.execute(
        "SELECT subject_id, category, encode(fingerprint, 'hex') FROM keys.fetch(%s, %s)",
        ([it.subject_id for it in witnesses], [it.category for it in witnesses]),
    )
    known = set(await rows.fetchall())
    for it in witnesses:
        if (it.subject_id, it.category, it.fingerprint) not in known:
            raise KeyStoreUnfit(
                f"the key store does not know the {it.category} key of subject {it.subject_id}, under which"
                f" the event at position {it.position} is sealed: it is not this log's, or an older copy"
            )
