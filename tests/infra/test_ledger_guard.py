"""The ledger against its database: what an older copy lacks is applied before anybody is served."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from uuid_utils.compat import uuid7

from domain.model import Category
from domain.values import CustomerKind, ErasureGround, LawfulBasis
from infra.bootstrap import CannotStart, System, open_system
from infra.ledger import Kind, LedgerFile, LedgerUnfit
from infra.ledgerguard import Compared, LedgerGuard
from infra.ledgerkeeping import entry_of, rebuild_ledger
from infra.postgres.embedded import EmbeddedPostgres
from infra.settings import Settings, load
from services.ports import CommandContext, KeyState
from tests.e2e.importing import system_on


@pytest.fixture
def older(postgres: EmbeddedPostgres, database_url: str) -> Iterator["Older"]:
    older = Older(postgres, database_url)
    yield older
    older.drop()


class Older:
    """A copy of the database as it was, as a restored backup is."""

    def __init__(self, server: EmbeddedPostgres, url: str) -> None:
        self.server, self.source, self.name = server, url, f"older_{uuid4().hex}"

    @property
    def url(self) -> str:
        return self.server.url_of(self.name)

    def copy(self) -> None:
        source = self.source.split("/")[3].split("?")[0]
        self._run("CREATE DATABASE {} TEMPLATE {}", self.name, source)

    def drop(self) -> None:
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.server.url_of("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def settings(url: str, folder: Path) -> Settings:
    return load(database_url=url, data=folder)


def command(system: System) -> CommandContext:
    return CommandContext(uuid4(), b"digest", "tester", system.clock.now(), uuid4())


async def register(system: System) -> UUID:
    subject_id = uuid7()
    await system.customers.register(
        id=uuid7(),
        subject_id=subject_id,
        context=command(system),
        kind=CustomerKind.PERSON,
        source="web",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="sales",
        name="Ann",
        email=None,
    )
    return subject_id


async def erase(system: System, subject_id: UUID, *categories: Category) -> UUID:
    erasing = await system.erasures.erase(
        id=uuid7(),
        erased_subject_id=subject_id,
        ground=ErasureGround.OBJECTION,
        context=command(system),
        categories=categories,
    )
    return erasing.outcome.id


async def told(system: System, erasure_id: UUID) -> list[tuple[str, datetime]]:
    return [(it.TOPIC, it.timestamp) for it in (await system.store.load(erasure_id)).events]


async def test_erasures_that_an_older_database_lacks_are_applied_again_as_they_were(
    database_url: str, tmp_path: Path, older: Older
) -> None:
    async with system_on(database_url, tmp_path) as system:
        known, partly = await register(system), await register(system)
    older.copy()
    async with system_on(database_url, tmp_path) as system:
        late = await register(system)
        erasures = [await erase(system, it) for it in (known, late)]
        erasures.append(await erase(system, partly, Category.IDENTITY))
        before = [await told(system, it) for it in erasures]

    with pytest.raises(CannotStart, match="3 erasures to apply again: run `lethe ledger apply`"):
        async with system_on(older.url, tmp_path):
            raise AssertionError("it opened")
    async with open_system(settings(older.url, tmp_path), behind=True) as system:
        assert "3 erasures" in str(system.guard.fault)
        assert (await system.ring.states(known))[Category.IDENTITY] is KeyState.ACTIVE
        assert await system.guard.apply(starting=True) == 3
        assert system.guard.fault is None
        assert await system.guard.apply(everything=True, starting=True) == 0
        assert await system.ring.erased([known, late, partly]) == {known, late}
        standing = (await system.ring.standings([partly]))[partly]
        assert standing.erased_categories == {Category.IDENTITY}
        after = [await told(system, it) for it in erasures]
    for once, again in zip(before, after, strict=True):
        assert [topic for topic, _ in again] == ["erasure.requested", "subject.erased"]
        assert again[0] == once[0], "requested when it was"
        assert abs((again[1][1] - once[1][1]).total_seconds()) < 5, "and carried out when it was"
    async with system_on(older.url, tmp_path) as system:
        assert system.guard.fault is None


async def test_a_backup_from_between_the_request_and_the_end_of_the_keys_is_behind_too(
    database_url: str, tmp_path: Path, older: Older
) -> None:
    async with system_on(database_url, tmp_path) as system:
        ann = await register(system)
        asked = await system.erasures.request(
            id=uuid7(), erased_subject_id=ann, ground=ErasureGround.OBJECTION, context=command(system)
        )
    older.copy()
    async with system_on(database_url, tmp_path) as system:
        await system.erasures.run(asked.id)
    async with open_system(settings(older.url, tmp_path), behind=True) as system:
        assert system.guard.fault is not None
        await system.guard.apply(starting=True)
        assert await system.ring.erased([ann]) == {ann}
        assert [topic for topic, _ in await told(system, asked.id)] == ["erasure.requested", "subject.erased"]


async def test_a_hold_of_the_older_database_does_not_bring_the_erased_back(
    database_url: str, tmp_path: Path, older: Older
) -> None:
    async with system_on(database_url, tmp_path) as system:
        ann, hold_id = await register(system), uuid4()
        await system.ring.hold(hold_id, ann)
    older.copy()
    async with system_on(database_url, tmp_path) as system:
        await system.ring.release(hold_id, ann)
        await erase(system, ann)
    async with open_system(settings(older.url, tmp_path), behind=True) as system:
        assert await system.guard.apply(starting=True) == 1
        assert await system.ring.erased([ann]) == {ann}


async def test_an_older_key_store_alone_is_found_when_everything_is_looked_at(
    database_url: str, tmp_path: Path
) -> None:
    async with system_on(database_url, tmp_path) as system:
        ann = await register(system)
        await erase(system, ann)
        assert (await system.guard.look()).missing == []
        async with system.pool.connection() as connection:
            await connection.execute("UPDATE keys.subjects SET erased_at = NULL")
        assert (await system.guard.look()).fault is None, "it is settled, so nobody looks at it every time"
        assert (await system.guard.look(everything=True)).fault is not None
        assert await system.guard.apply(everything=True) == 1
        assert await system.ring.erased([ann]) == {ann}


async def test_work_under_way_in_another_process_is_no_fault(database_url: str, tmp_path: Path) -> None:
    async with system_on(database_url, tmp_path) as system:
        ann = await register(system)
        asked = await system.erasures.request(
            id=uuid7(), erased_subject_id=ann, ground=ErasureGround.OBJECTION, context=command(system)
        )
        request = await system.erasures._requested(asked.id)
        await system.ledger.enter(request)
        compared = await system.guard.look(starting=True)
        assert (compared.fault, len(compared.under_way)) == (None, 1)
        assert await system.erasures.resume() == 1
        assert (await system.guard.look()).under_way == []


async def test_a_start_in_the_very_moment_of_entry_by_another_looks_twice(
    database_url: str, tmp_path: Path
) -> None:
    async with system_on(database_url, tmp_path) as system:
        asked = await system.erasures.request(
            id=uuid7(),
            erased_subject_id=await register(system),
            ground=ErasureGround.OBJECTION,
            context=command(system),
        )
        request = await system.erasures._requested(asked.id)
        # The line is in the file, and the database does not know of it yet.
        system.ledger.file.enter(Kind.ERASED, asked.id, entry_of(request, system.clock.now()))
        missing: list[int] = []

        class Guard(LedgerGuard):
            """Its first look falls between the two."""

            async def _compare(self, *, everything: bool, starting: bool) -> Compared:
                compared = await super()._compare(everything=everything, starting=starting)
                missing.append(len(compared.missing))
                await system.ledger.enter(request)
                return compared

        guard = Guard(system.pool, system.ledger, system.ring, system.erasures)
        compared = await guard.look(starting=True)
        assert (missing, compared.fault, len(compared.under_way)) == ([1, 0], None, 1)


@pytest.mark.parametrize("loss", ["gone", "older", "another", "changed"])
async def test_a_ledger_that_is_not_the_databases_present_one_stops_the_start(
    database_url: str, tmp_path: Path, loss: str
) -> None:
    path = settings(database_url, tmp_path).ledger_path
    async with system_on(database_url, tmp_path) as system:
        await erase(system, await register(system))
        shutil.copy(path, tmp_path / "copy")
        await erase(system, await register(system))
    words = {"gone": "missing", "older": "older than its database", "another": "not this database's"}
    match loss:
        case "gone":
            path.unlink()
        case "older":
            shutil.copy(tmp_path / "copy", path)
        case "another":
            path.unlink()
            LedgerFile(path).begin("main", datetime.fromisoformat("2026-03-01T00:00:00Z"))
        case "changed":
            path.write_bytes(path.read_bytes().replace(b"objection", b"Objection"))
    with pytest.raises(CannotStart, match=words.get(loss, "was changed")):
        async with system_on(database_url, tmp_path):
            raise AssertionError("it opened")


async def test_a_lost_ledger_is_made_anew_from_the_log_when_the_operator_says_so(
    database_url: str, tmp_path: Path
) -> None:
    path = settings(database_url, tmp_path).ledger_path
    async with system_on(database_url, tmp_path) as system:
        people = [await register(system) for _ in range(3)]
        erasures = [await erase(system, it) for it in people]
        path.unlink()
        made = await rebuild_ledger(
            system.pool, path, namespace="main", mapper=system.mapper, clock=system.clock
        )
    assert made == 3
    async with system_on(database_url, tmp_path) as system:
        compared = await system.guard.look(everything=True)
        assert (compared.fault, compared.lines) == (None, 4)
        entered = [it.fields.get("erasure_id") for it in LedgerFile(path).after(None)]
        assert entered[1:] == [str(it) for it in erasures]
        await erase(system, await register(system))


async def test_a_ledger_that_knows_more_than_the_log_is_not_replaced(
    database_url: str, tmp_path: Path, older: Older
) -> None:
    async with system_on(database_url, tmp_path) as system:
        ann = await register(system)
    older.copy()
    async with system_on(database_url, tmp_path) as system:
        await erase(system, ann)
    async with open_system(settings(older.url, tmp_path), behind=True) as system:
        path = system.settings.ledger_path
        with pytest.raises(LedgerUnfit, match="knows of 1 erasures that the log does not"):
            await rebuild_ledger(
                system.pool, path, namespace="main", mapper=system.mapper, clock=system.clock
            )
