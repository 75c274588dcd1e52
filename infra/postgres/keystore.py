"""The key store at the start: the right one, under the right key, or no start at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import InvalidSchemaName, UndefinedFunction, UndefinedTable
from psycopg_pool import AsyncConnectionPool

from infra import json
from infra.kek import KekPlace, KeyEncryptionKey, KeyStoreUnfit, canary_place, open_keks
from infra.outage import unavailable_on_outage
from infra.postgres.epochs import LivingKeks
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.unwrapped import CACHED_SECONDS_MAX

Pool = AsyncConnectionPool[AsyncConnection[Any]]
CANARY = b"the key-encryption key of this key store opens this"
WITNESSES_MAX = 200


async def open_key_ring(
    pool: Pool,
    *,
    kek_reference: str,
    namespace: str,
    cache_seconds: float = CACHED_SECONDS_MAX,
    vault_token: str | None = None,
) -> PostgresKeyRing:
    """As `key_ring_at`, of the KEKs that the reference names."""
    keks = open_keks(kek_reference, vault_token=vault_token)
    return await key_ring_at(pool, keks, namespace=namespace, cache_seconds=cache_seconds)


async def key_ring_at(
    pool: Pool, place: KekPlace, *, namespace: str, cache_seconds: float = CACHED_SECONDS_MAX
) -> PostgresKeyRing:
    """The namespace's key ring. Only for a new namespace, whose log is empty, is one founded and a KEK made.

    Raises `KeyStoreUnfit` where the key store is missing, emptied, another namespace's, or wrapped under
    another KEK, and `KekUnusable` where the KEK cannot be had: never is such a store asked about a key.
    """
    keks = LivingKeks(place)
    with unavailable_on_outage():
        async with pool.connection() as connection:
            # In this order: another process may found the store and write, between the two.
            events = await _first_and_last(connection)
            owner = await _owner(connection)
            if owner is None:
                if events:
                    raise KeyStoreUnfit(
                        "the key store is empty, though the log is not: restore the key store"
                    )
                owner = await _found(connection, place, namespace)
            if owner != namespace:
                raise KeyStoreUnfit(f"the key store is of the namespace {owner!r}, not {namespace!r}")
            await keks.look(connection)
            await _check_canaries(keks, namespace)
            await _check_witnesses(connection, _boxes(events))
    return PostgresKeyRing(pool, keks, namespace, cache_seconds=cache_seconds)


async def canary_of(kek: KeyEncryptionKey, namespace: str) -> bytes:
    """A value that this KEK opens, and no other, in this namespace."""
    [canary] = await kek.wrap([CANARY], [canary_place(namespace)])
    return canary


async def opens_canary(kek: KeyEncryptionKey, canary: bytes, namespace: str) -> bool:
    """Whether this is the KEK that the canary was made with."""
    return list(await kek.unwrap([canary], [canary_place(namespace)])) == [CANARY]


async def _owner(connection: AsyncConnection[Any]) -> str | None:
    try:
        row = await (await connection.execute("SELECT * FROM keys.identity()")).fetchone()
    except (InvalidSchemaName, UndefinedFunction, UndefinedTable):
        raise KeyStoreUnfit(
            "the key store is missing: the schema keys is not whole in this database"
        ) from None
    return None if row is None else str(row[0])


async def _found(connection: AsyncConnection[Any], place: KekPlace, namespace: str) -> str:
    kek = await place.found()
    canary = await canary_of(kek, namespace)
    await connection.execute("SELECT keys.found(%s, %s, %s)", (namespace, kek.id, canary))
    owner = await _owner(connection)  # another process may have been first
    if owner is None:
        raise KeyStoreUnfit("the key store does not keep what is written to it")
    return owner


async def _check_canaries(keks: LivingKeks, namespace: str) -> None:
    for epoch in keks.epochs:
        kek = keks.of(epoch.number)
        if kek is not None and not await opens_canary(kek, epoch.canary, namespace):
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
