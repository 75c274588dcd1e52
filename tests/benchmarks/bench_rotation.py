"""How long a rotation of the key-encryption key takes, and what commands notice that mint keys meanwhile."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from domain.model import Category
from infra.kek import FileKekPlace, KeyEncryptionKey, data_key_place, mint_many
from infra.postgres.database import open_pool
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.keystore import key_ring_at
from infra.postgres.migrate import migrate
from infra.rotation import Rotation

KEYS: Final = int(os.environ.get("BENCH_KEYS", "1000000"))
SECONDS_MAX: Final = 30.0
NAMESPACE: Final = "main"
CATEGORIES: Final = (Category.IDENTITY, Category.CONTACT)
BATCH: Final = 10_000


class NothingToSeal:
    """Nobody was erased here."""

    async def seal(self, *, epoch: int, kek_id: str, before: datetime | None = None) -> int:
        return 0


async def fill(url: str, kek: KeyEncryptionKey, number: int) -> None:
    """As many keys, two a subject, as a ring of the first epoch would have minted them."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(0, number, BATCH):
            rows = await batch(kek)
            cursor = connection.cursor()
            with cursor.copy("COPY keys.subjects (subject_id) FROM STDIN (FORMAT BINARY)") as subjects:
                subjects.set_types(["uuid"])
                for subject_id in dict.fromkeys(row[0] for row in rows):
                    subjects.write_row((subject_id,))
            columns = "subject_id, category, fingerprint, wrapped, epoch"
            with cursor.copy(f"COPY keys.data_keys ({columns}) FROM STDIN (FORMAT BINARY)") as keys:
                keys.set_types(["uuid", "text", "bytea", "bytea", "int4"])
                for row in rows:
                    keys.write_row(row)
        connection.execute("ANALYZE keys.data_keys")
        connection.execute("CHECKPOINT")


async def batch(kek: KeyEncryptionKey) -> list[tuple[UUID, str, bytes, bytes, int]]:
    names = [(subject_id, category) for subject_id in subjects() for category in CATEGORIES]
    keys = mint_many(len(names))
    places = [
        data_key_place(NAMESPACE, *name, key.fingerprint) for name, key in zip(names, keys, strict=True)
    ]
    boxes = await kek.wrap([key.secret for key in keys], places)
    return [
        (name[0], str(name[1]), bytes.fromhex(key.fingerprint), box, 1)
        for name, key, box in zip(names, keys, boxes, strict=True)
    ]


def subjects() -> Iterator[UUID]:
    for _ in range(BATCH // len(CATEGORIES)):
        yield uuid7()


async def mint_until(ring: PostgresKeyRing, url: str, stop: asyncio.Event) -> list[float]:
    """How long each command took that minted a key."""
    pool = await open_pool(url, size=2)
    took: list[float] = []
    while not stop.is_set():
        started = time.perf_counter()
        async with pool.connection() as connection, connection.transaction():
            await ring.provide([(uuid7(), Category.IDENTITY)], within=connection)
        took.append(time.perf_counter() - started)
        await asyncio.sleep(0.005)
    await pool.close()
    return took


async def measure(url: str, folder: Path) -> None:
    await migrate(url, namespace=NAMESPACE)
    place = FileKekPlace(folder / "kek")
    pool = await open_pool(url, size=2)
    ring = await key_ring_at(pool, place, namespace=NAMESPACE)
    await fill(url, await place.found(), KEYS)
    rotation = Rotation(url, place, NothingToSeal(), NAMESPACE)

    alone = await rotation.run()
    stop = asyncio.Event()
    minting = asyncio.create_task(mint_until(ring, url, stop))
    beside = await rotation.run()
    stop.set()
    took = await minting
    await pool.close()

    table = Table(title=f"Rotation of {KEYS} keys")
    for heading in ("", "keys", "s", "keys a second"):
        table.add_column(heading, justify="right")
    for title, report in (("alone", alone), ("beside commands", beside)):
        table.add_row(
            title, str(report.keys), f"{report.seconds:.1f}", f"{report.keys / report.seconds:,.0f}"
        )
    Console().print(table)
    print(
        f"{len(took)} commands minted keys meanwhile: median {statistics.median(took) * 1e3:.1f} ms,"
        f" slowest {max(took) * 1e3:.0f} ms"
    )
    target = SECONDS_MAX * KEYS / 1_000_000
    print(f"target: under {target:.1f} s: {'met' if alone.seconds < target else 'MISSED'}")


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        asyncio.run(measure(server.url, Path(folder)))


if __name__ == "__main__":
    main()
