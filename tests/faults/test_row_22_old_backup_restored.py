"""Row 22: a backup from before an erasure is restored. It serves nobody until the ledger is applied to it.

And once the epoch of key-encryption keys has turned, nothing in it opens any more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from domain.model import Category
from infra.access import EVERYTHING
from infra.backup.archive import identities_in, new_identity, recipients_of
from infra.backup.restoring import restore_backup
from infra.bootstrap import CannotStart, System, open_system
from infra.door import door_of
from infra.http.app import create_app
from infra.kek import data_key_place, open_keks
from infra.ledgerguard import APPLY_LOCK
from infra.postgres.embedded import EmbeddedPostgres
from infra.settings import load
from infra.work import going_on, sequencing
from services.ports import KeyState
from tests.e2e.importing import projected, system_on
from tests.infra.test_ledger_guard import erase, register


@pytest.fixture
def fresh(postgres: EmbeddedPostgres) -> Iterator[list[str]]:
    """Two empty databases."""
    names = [f"restored_{uuid4().hex}" for _ in range(2)]
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield [postgres.url_of(name) for name in names]
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@asynccontextmanager
async def applying_elsewhere(url: str) -> AsyncIterator[None]:
    """As if another process were applying the ledger, slowly."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [APPLY_LOCK])
        yield


async def is_refused(client: httpx.AsyncClient, subject_id: UUID) -> None:
    """Every route of the API answers 503 and says why; probes answer."""
    for path in (f"/v1/subjects/{subject_id}", "/v1/customers", "/v1/events", "/v1/no-such-thing"):
        answer = await client.get(path)
        assert answer.status_code == 503, path
        assert answer.json()["type"] == "urn:lethe:problem:ledger-not-applied"
        assert answer.headers["retry-after"]
    assert (await client.post("/v1/customers", json={})).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "older than its erasure ledger" in ready.json()["checks"]["ledger"]


async def serves_after_applying(url: str, data: Path, erased: UUID, other: UUID) -> float:
    """Opened, refused, applied, served; how many seconds it took to serve once nobody held it up."""
    stop = asyncio.Event()
    async with open_system(load(database_url=url, data=data), behind=True) as system:
        assert (await system.ring.states(erased))[Category.IDENTITY] is KeyState.ACTIVE, "the key is back"
        _, token = await system.tokens.create(name="x", scopes=EVERYTHING, actor_id=uuid4())
        async with applying_elsewhere(url), door_of(system, stop) as door:
            transport = httpx.ASGITransport(create_app(door))
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
                await is_refused(client, erased)
                return await _until_served(client, url, erased, other, stop)


async def _until_served(
    client: httpx.AsyncClient, url: str, erased: UUID, other: UUID, stop: asyncio.Event
) -> float:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        # The other process dies.
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND (classid::bigint << 32) + objid::bigint = %s",
            [APPLY_LOCK],
        )
    begun = time.monotonic()
    while (answer := await client.get(f"/v1/subjects/{erased}")).status_code == 503:
        assert time.monotonic() - begun < 30, "it never served"
        await asyncio.sleep(0.05)
    took = time.monotonic() - begun
    assert answer.json()["erased"] is True
    assert answer.json()["keys"]["identity"] == "erased"
    assert (await client.get(f"/v1/subjects/{other}")).json()["erased"] is False
    assert (await client.get("/readyz")).json()["checks"]["ledger"] is None
    stop.set()
    return took


async def opens_nothing(url: str, data: Path) -> int:
    """No wrapped key of the old copy unwraps under any KEK that there is now; how many were tried."""
    keks = (await open_keks(f"file:{data / 'kek'}").all()).values()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (
            await connection.execute(
                "SELECT subject_id, category, encode(fingerprint, 'hex'), wrapped FROM keys.data_keys "
                "WHERE wrapped IS NOT NULL"
            )
        ).fetchall()
    places = [data_key_place("main", id, Category(category), print_) for id, category, print_, _ in rows]
    for kek in keks:
        assert set(await kek.unwrap([box for *_, box in rows], places)) == {None}
    return len(rows)


async def test_an_old_backup_serves_nobody_until_the_ledger_is_applied_and_sealed_opens_nothing(
    database_url: str, tmp_path: Path, fresh: list[str]
) -> None:
    recipients = recipients_of(new_identity(tmp_path / "identity"))
    identities = identities_in(tmp_path / "identity")
    stop = asyncio.Event()
    async with system_on(database_url, tmp_path) as system, going_on(sequencing(system), stop):
        erased, other = await register(system), await register(system)
        await projected(system)
        made = await system.shelf.make(tmp_path / "old.age", recipients)
        erasure_id = await erase(system, erased)
        first = await certificate(system, erasure_id)
        assert f"backup {made.header.id}: not covered" in first

    await restore_backup(fresh[0], made.path, identities)
    took = await serves_after_applying(fresh[0], tmp_path, erased, other)

    stop = asyncio.Event()
    async with system_on(database_url, tmp_path) as system, going_on(sequencing(system), stop):
        report = await system.rotation.run()
        assert report.sealed == 1
        sealed = await certificate(system, erasure_id)
        assert f"useless since epoch {report.epoch}" in sealed
        assert f"backup {made.header.id}: not covered" not in sealed

    await restore_backup(fresh[1], made.path, identities)
    tried = await opens_nothing(fresh[1], tmp_path)
    assert tried == 2, "the erased person's key row is back, and the other's"
    with pytest.raises(CannotStart):
        async with open_system(load(database_url=fresh[1], data=tmp_path), behind=True):
            raise AssertionError("it opened under a KEK of another epoch")
    print(f"row 22: refused while behind, served {took:.2f} s after; sealed, {tried} old keys open nothing")


async def certificate(system: System, erasure_id: UUID) -> str:
    note = await system.certificates.issue(erasure_id, patience=30)
    assert note is not None
    return note
