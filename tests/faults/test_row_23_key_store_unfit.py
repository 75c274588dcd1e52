"""Row 23: a key store that is missing, emptied, another's, or under another KEK. Loud, and never "erased"."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.customer.events import CustomerRegistered
from domain.model import Category, Erased, Sealed
from infra.eventstore.unsealer import BoxUnsealer
from infra.kek import FileKek, KekUnusable, KeyStoreUnfit, open_keks
from infra.memory.kek import MemoryKekPlace
from infra.postgres.database import open_pool
from infra.postgres.epochs import LivingKeks
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.keystore import open_key_ring
from infra.rotation import Rotation
from services.ports import KeyLost, KeyState
from tests.faults.sealed_log import KEK, NAMESPACE, SealedLog, sealed_log


class Site:
    """A database with a sealed log in it, and the KEK file beside it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.kek_file = folder / "kek"

    @property
    def reference(self) -> str:
        return f"file:{self.kek_file}"

    async def open(self, namespace: str = "main") -> None:
        """As every process opens its key ring at the start."""
        pool = await open_pool(self.url, size=2)
        try:
            await open_key_ring(pool, kek_reference=self.reference, namespace=namespace)
        finally:
            await pool.close()

    async def write(self) -> tuple[UUID, Sealed]:
        async with sealed_log(self.url, keks=open_keks(self.reference)) as log:
            subject_id = uuid4()
            return subject_id, await name_of(log, await log.register(subject_id))

    async def rotate(self) -> None:
        keks = open_keks(self.reference)
        async with sealed_log(self.url, keks=keks) as log:
            await Rotation(self.url, keks, log.erasures, NAMESPACE).run()

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())


async def name_of(log: SealedLog, id: UUID) -> Sealed:
    [event] = (await log.application.store.load(id)).events
    assert isinstance(event, CustomerRegistered)
    assert isinstance(event.name, Sealed)
    return event.name


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> Site:
    site = Site(database_url, tmp_path)
    await site.open()
    await site.write()
    return site


def another_kek(site: Site) -> None:
    secret = bytes([7] * 32)
    site.kek_file.write_text(f"lethe-kek-1:{b64encode(secret).decode()}\n")


def without(statement: str) -> Callable[[Site], None]:
    return lambda site: site.run(statement)


FAULTS: list[tuple[str, Callable[[Site], None], type[Exception], str]] = [
    ("the schema is gone", without("DROP SCHEMA keys CASCADE"), KeyStoreUnfit, "missing"),
    (
        "the tables are gone",
        without("DROP TABLE keys.meta, keys.epochs, keys.subjects, keys.data_keys CASCADE"),
        KeyStoreUnfit,
        "missing",
    ),
    (
        "it is empty",
        without("TRUNCATE keys.meta, keys.epochs, keys.subjects, keys.data_keys, keys.system_keys"),
        KeyStoreUnfit,
        "empty",
    ),
    ("its epochs are gone", without("TRUNCATE keys.epochs"), KeyStoreUnfit, "names no epoch"),
    ("it has lost its keys", without("TRUNCATE keys.subjects, keys.data_keys"), KeyStoreUnfit, "not know"),
    (
        "its keys are others of the same names",
        without("UPDATE keys.data_keys SET fingerprint = sha256(fingerprint)"),
        KeyStoreUnfit,
        "not know",
    ),
    (
        "it is another namespace's",
        without("UPDATE keys.meta SET namespace = 'other'"),
        KeyStoreUnfit,
        "of the namespace 'other', not 'main'",
    ),
    (
        "its canary was changed",
        without("UPDATE keys.epochs SET canary = sha256(canary)"),
        KeyStoreUnfit,
        "does not open under",
    ),
    (
        "an event of the log was changed",
        without("UPDATE log.events SET state = set_byte(state, 0, 0)"),
        KeyStoreUnfit,
        "position 1 is not in the stored form",
    ),
    ("it names another KEK", without("UPDATE keys.epochs SET kek_id = 'x'"), KekUnusable, "wrapped under"),
    ("the KEK is another one", another_kek, KekUnusable, "wrapped under"),
    ("the KEK file is gone", lambda site: site.kek_file.unlink(), KekUnusable, "missing"),
    (
        "the KEK file is open to others",
        lambda site: site.kek_file.chmod(0o644),
        KekUnusable,
        "open to others",
    ),
    ("the KEK file is empty", lambda site: _write_nothing(site.kek_file), KekUnusable, "holds no KEK"),
]


def _write_nothing(path: Path) -> None:
    path.write_text("")


async def test_the_right_key_store_opens_as_often_as_it_is_asked_to(site: Site) -> None:
    for _ in range(3):
        await site.open()
    await site.write()
    await site.open()


@pytest.mark.parametrize(
    ("fault", "error", "words"), [it[1:] for it in FAULTS], ids=[it[0].replace(" ", "-") for it in FAULTS]
)
async def test_nothing_starts_beside_an_unfit_key_store(
    site: Site, fault: Callable[[Site], None], error: type[Exception], words: str
) -> None:
    fault(site)
    there_was = site.kek_file.exists()
    for _ in range(2):  # a refused start must not mend what it refused
        with pytest.raises(error, match=words) as refusal:
            await site.open()
        assert "\n" not in str(refusal.value)
        assert "erased" not in str(refusal.value)
    assert site.kek_file.exists() == there_was, "a new KEK was made beside an existing key store"
    print(f"row 23: {refusal.value}")


async def test_a_kek_file_from_before_a_rotation_opens_nothing(site: Site) -> None:
    before = site.kek_file.read_bytes()
    await site.rotate()
    after = site.kek_file.read_bytes()
    site.kek_file.write_bytes(before)
    with pytest.raises(KekUnusable, match="wrapped under") as refusal:
        await site.open()
    assert site.kek_file.read_bytes() == before, "a refused start mended what it refused"
    print(f"row 23: {refusal.value}")
    site.kek_file.write_bytes(after)
    await site.open()


async def test_a_key_store_from_before_a_rotation_is_refused(site: Site) -> None:
    for table in ("epochs", "data_keys", "system_keys"):
        site.run(f"CREATE TABLE public.{table} AS SELECT * FROM keys.{table}")  # noqa: S608
    await site.rotate()
    for table in ("epochs", "data_keys", "system_keys"):
        site.run(f"TRUNCATE keys.{table}; INSERT INTO keys.{table} SELECT * FROM public.{table}")  # noqa: S608
    for _ in range(2):
        with pytest.raises(KekUnusable, match="wrapped under") as refusal:
            await site.open()
        assert "erased" not in str(refusal.value)
    print(f"row 23: {refusal.value}")


async def test_a_database_of_another_namespace_is_refused(site: Site) -> None:
    with pytest.raises(KeyStoreUnfit, match="of the namespace 'main', not 'other'"):
        await site.open(namespace="other")


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("DELETE FROM keys.data_keys", KeyState.NEVER),
        ("TRUNCATE keys.subjects, keys.data_keys", KeyState.NEVER),
        ("UPDATE keys.data_keys SET wrapped = wrapped || '\\x00'::bytea", KeyState.LOST),
        ("UPDATE keys.data_keys SET fingerprint = sha256(fingerprint)", KeyState.LOST),
    ],
)
async def test_a_key_that_goes_while_we_serve_is_lost_and_never_erased(
    database_url: str, fault: str, state: KeyState
) -> None:
    async with sealed_log(database_url) as log:
        subject_id = uuid4()
        name = await name_of(log, await log.register(subject_id))
        await log.run(fault)
        with pytest.raises(KeyLost):
            await log.unsealer.open([name])
        assert (await log.ring.states(subject_id))[Category.IDENTITY] is state
        assert await log.ring.erased([subject_id]) == set()


async def test_a_tombstone_of_another_key_does_not_pass_for_an_erasure(database_url: str) -> None:
    async with sealed_log(database_url) as log:
        subject_id = uuid4()
        name = await name_of(log, await log.register(subject_id))
        await log.ring.shred(subject_id)
        assert await log.unsealer.open([name]) == {name: Erased(Category.IDENTITY)}
        await log.run("UPDATE keys.data_keys SET fingerprint = sha256(fingerprint)")
        with pytest.raises(KeyLost):
            await log.unsealer.open([name])


async def test_under_another_kek_a_key_is_lost_and_no_new_one_is_minted(database_url: str) -> None:
    subject_id = uuid4()
    async with sealed_log(database_url) as log:
        id = await log.register(subject_id)
        name = await name_of(log, id)
    async with sealed_log(database_url) as log, log.pool.connection() as connection:
        impostor = FileKek(bytes([7] * 32))
        impostor.id = KEK.id
        keks = LivingKeks(MemoryKekPlace(impostor))
        await keks.look(connection)
        ring = PostgresKeyRing(log.pool, keks, NAMESPACE)
        with pytest.raises(KeyLost):
            await BoxUnsealer(ring, NAMESPACE).open([name])
        async with connection.transaction():
            with pytest.raises(KeyLost):
                await ring.provide([(subject_id, Category.IDENTITY)], within=connection)
        assert (await ring.states(subject_id))[Category.IDENTITY] is KeyState.LOST
