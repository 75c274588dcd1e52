"""A backup comes back whole or not at all, opens for its recipient only, holds neither KEK nor plaintext."""

import asyncio
import json
import os
import signal
import tarfile
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from pyrage import decrypt

from infra.backup.archive import (
    BackupUnfit,
    identities_in,
    new_identity,
    reading,
    recipients_of,
    writing,
)
from infra.backup.checking import verify_backup, verify_trees
from infra.backup.making import Made, make_backup
from infra.backup.restoring import restore_backup
from infra.backup.shelf import backing_up
from infra.bootstrap import System
from infra.kek import open_keks
from infra.postgres.embedded import EmbeddedPostgres
from tests.cli.test_command_line import document, lethe
from tests.e2e.importing import projected, system_on
from tests.infra.test_ledger_guard import erase, register


@dataclass
class Place:
    """A system with something in it, somewhere to put backups, and a pair of keys."""

    system: System
    folder: Path
    identity: Path
    recipient: str
    people: list[UUID]

    async def make(self, name: str = "one.age") -> Made:
        return await self.system.shelf.make(self.folder / name, recipients_of(self.recipient))


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "backups"
    folder.mkdir()
    identity = tmp_path / "identity"
    recipient = new_identity(identity)
    async with system_on(database_url, tmp_path) as system:
        people = [await register(system) for _ in range(20)]
        await erase(system, people[0])
        await projected(system)
        yield Place(system, folder, identity, recipient, people)


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"empty_{uuid4().hex}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield postgres.url_of(name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def beside(made: Made) -> Path:
    return made.path.with_name(f"{made.path.name}.json")


def rows(url: str) -> dict[str, list[Any]]:
    """Every row of ours but transaction ids, as text."""
    found = {}
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN "
            "('pg_catalog', 'information_schema', 'migrations') ORDER BY 1, 2"
        ).fetchall()
        for schema, name in names:
            query = sql.SQL("SELECT (to_jsonb(it) - 'xid')::text FROM {} AS it ORDER BY 1")
            found[f"{schema}.{name}"] = connection.execute(
                query.format(sql.Identifier(schema, name))
            ).fetchall()
    return found


async def test_everything_comes_back_as_it_was(place: Place, empty_url: str) -> None:
    before = rows(place.system.database.url)
    made = await place.make()
    restored = await restore_backup(empty_url, made.path, identities_in(place.identity))
    assert rows(empty_url) == before
    assert restored.rows == sum(map(len, before.values()))
    assert restored.header.events == len(before["log.events"])
    assert len(before["directory.customers"]) == 20
    assert verify_trees(empty_url, restored.header)[1] == []


async def test_what_is_restored_goes_on_from_there(place: Place, empty_url: str) -> None:
    made = await place.make()
    await restore_backup(empty_url, made.path, identities_in(place.identity))
    folder = place.system.settings.data
    async with system_on(empty_url, folder) as system:
        last = await system.reader.horizon()
        late = await register(system)
        assert await system.reader.horizon() > last
        assert not (await system.ring.erased([late]))
        assert await system.ring.erased(place.people) == {place.people[0]}


async def test_everybody_goes_on_while_a_backup_is_made(place: Place, empty_url: str) -> None:
    writing = asyncio.create_task(_write(place.system, 50))
    made = await place.make()
    await writing
    restored = await restore_backup(empty_url, made.path, identities_in(place.identity))
    found = rows(empty_url)
    events = [json.loads(it) for (it,) in found["log.events"]]
    assert max(it["position"] for it in events) == restored.header.position
    keys = {json.loads(it)["subject_id"] for (it,) in found["keys.data_keys"]}
    sealed = {json.loads(bytes.fromhex(it["state"][2:]))["data"].get("subject_id") for it in events} - {None}
    assert sealed <= keys, "an event without its key"


async def _write(system: System, number: int) -> None:
    for _ in range(number):
        await register(system)


async def test_neither_the_kek_nor_any_plaintext_is_inside(place: Place) -> None:
    made = await place.make()
    files = [
        it for it in (place.system.settings.data / "kek", *place.folder.parent.glob("kek*/*")) if it.is_file()
    ]
    words = {word for it in files for word in it.read_bytes().replace(b":", b" ").split() if len(word) > 40}
    assert words, "there is no KEK to look for"
    secrets = {*words, *(b64decode(it) for it in words), b"Ann"}
    opened = decrypt(made.path.read_bytes(), identities_in(place.identity))
    for where in (opened, made.path.read_bytes(), beside(made).read_bytes()):
        assert not [it for it in secrets if it in where]


async def test_a_backup_says_beside_it_what_it_is_and_the_log_knows_it(place: Place) -> None:
    made = await place.make()
    about = json.loads(beside(made).read_text())
    [known] = await place.system.shelf.known()
    assert about["sha256"] == known.sha256 == made.sha256
    assert (about["position"], about["epoch"], about["namespace"]) == (made.header.position, 1, "main")
    assert (known.file, known.epoch, known.size_bytes) == ("one.age", 1, made.path.stat().st_size)
    assert await place.system.shelf.recognise(made.path) == known


async def test_the_archive_is_a_plain_tar_for_who_has_the_identity(place: Place, tmp_path: Path) -> None:
    made = await place.make()
    (tmp_path / "plain.tar").write_bytes(decrypt(made.path.read_bytes(), identities_in(place.identity)))
    with tarfile.open(tmp_path / "plain.tar") as tar:
        names = tar.getnames()
    assert names[0] == "header.json"
    assert names[-1] == "manifest.json"
    assert "tables/log.events/000000" in names


async def test_only_the_recipient_opens_it(place: Place, tmp_path: Path, empty_url: str) -> None:
    made = await place.make()
    new_identity(tmp_path / "other")
    with pytest.raises(BackupUnfit, match="not for this identity"):
        await restore_backup(empty_url, made.path, identities_in(tmp_path / "other"))


@pytest.mark.parametrize("fault", ["flipped", "cut", "cut at a chunk", "empty", "no backup"])
async def test_a_damaged_backup_is_refused_and_leaves_nothing(
    place: Place, empty_url: str, fault: str
) -> None:
    made = await place.make()
    whole = made.path.read_bytes()
    match fault:
        case "flipped":
            changed = bytearray(whole)
            changed[len(whole) // 2] ^= 4
            made.path.write_bytes(changed)
        case "cut":
            made.path.write_bytes(whole[: len(whole) * 3 // 4])
        case "cut at a chunk":
            header = whole.index(b"---") + 48
            made.path.write_bytes(whole[: header + 16 + 65_552])
        case "empty":
            made.path.write_bytes(b"")
        case "no backup":
            made.path.write_bytes(b"not age at all\n" * 9)
    with pytest.raises(BackupUnfit):
        await restore_backup(empty_url, made.path, identities_in(place.identity))
    assert not any(rows(empty_url).get("log.events", []))
    assert not any(rows(empty_url).get("keys.data_keys", []))


async def test_a_backup_that_lacks_a_table_is_refused(place: Place, tmp_path: Path, empty_url: str) -> None:
    made, identities = await place.make(), identities_in(place.identity)
    with reading(made.path, identities) as members:
        left = [it for it in members if not it[0].startswith("tables/schedule.jobs/")]
    with writing(tmp_path / "short", [it.to_public() for it in identities]) as archive:
        for name, content in left:
            archive.add(name, content)
    with pytest.raises(BackupUnfit, match=r"the table schedule\.jobs is not what the backup's manifest says"):
        await restore_backup(empty_url, tmp_path / "short", identities)
    assert not any(rows(empty_url).get("log.events", []))


async def test_a_backup_is_restored_into_an_empty_place_only(place: Place) -> None:
    made = await place.make()
    before = rows(place.system.database.url)
    with pytest.raises(BackupUnfit, match="not empty"):
        await restore_backup(place.system.database.url, made.path, identities_in(place.identity))
    assert rows(place.system.database.url) == before


async def test_a_backup_of_another_namespace_is_refused(place: Place, empty_url: str) -> None:
    made = await place.make()
    with pytest.raises(BackupUnfit, match="namespace"):
        await restore_backup(empty_url, made.path, identities_in(place.identity), namespace="other")


async def test_verifying_really_restores_and_opens_what_was_sealed(place: Place) -> None:
    made = await place.make()
    keks = open_keks(place.system.settings.kek_reference)
    checked = await verify_backup(made.path, identities_in(place.identity), keks)
    assert (checked.findings, checked.keys) == ([], None)
    assert (checked.boxes_opened, checked.boxes_erased) == (19, 1)
    assert checked.header.events == made.header.events


async def test_verifying_without_the_kek_says_that_no_box_was_tried(place: Place, tmp_path: Path) -> None:
    made = await place.make()
    checked = await verify_backup(
        made.path, identities_in(place.identity), open_keks(f"file:{tmp_path / 'nowhere'}")
    )
    assert checked.findings == []
    assert checked.keys is not None
    assert checked.boxes_opened == 0


async def test_an_interrupted_backup_leaves_nothing_under_its_name(place: Place) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await place.system.shelf.make(place.folder / "x.age", recipients_of(place.recipient), interrupted)
    assert list(place.folder.iterdir()) == []
    assert await place.system.shelf.known() == []


async def test_a_killed_backup_leaves_nothing_under_its_name_and_the_next_one_succeeds(place: Place) -> None:
    pid = os.fork()
    if pid == 0:

        def die(done: int, total: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        make_backup(
            place.system.database.url,
            place.folder / "one.age",
            recipients_of(place.recipient),
            id=uuid4(),
            namespace="main",
            now=place.system.clock.now(),
            progress=die,
        )
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL  # noqa: ASYNC222 - dies at once
    assert not (place.folder / "one.age").exists()
    made = await place.make()
    assert sorted(it.name for it in place.folder.iterdir()) == ["one.age", "one.age.json"]
    with reading(made.path, identities_in(place.identity)) as members:
        assert next(members)[0] == "header.json"


async def test_old_backups_are_deleted_and_never_the_newest(place: Place) -> None:
    shelf = place.system.shelf
    for name in ("a.age", "b.age", "c.age"):
        await place.make(name)
    later = place.system.clock.now() + timedelta(days=40)
    gone = await shelf.expired(place.folder, 35, later)
    assert [path.name for _, path in gone] == ["a.age", "b.age"]
    assert await shelf.expired(place.folder, 35, place.system.clock.now()) == []
    for known, path in gone:
        await shelf.delete(known, path)
    assert sorted(it.name for it in place.folder.iterdir()) == ["c.age", "c.age.json"]
    assert [it.deleted_at is None for it in await shelf.known()] == [False, False, True]
    assert await shelf.expired(place.folder, 35, later) == []


async def test_on_the_schedule_a_backup_is_made_each_day_and_after_each_turn_of_the_epoch(
    place: Place,
) -> None:
    system = place.system
    job = backing_up(system.shelf, place.folder, recipients_of(place.recipient))
    now = system.clock.now()
    assert (await job.run(now)).startswith("lethe-")
    assert await job.run(now + timedelta(hours=23)) == "there is a fresh one"
    await system.rotation.run(lambda done, total: None)
    await asyncio.sleep(1.1)  # a backup is named by the second
    assert (await job.run(system.clock.now())).startswith("lethe-")
    assert [it.epoch for it in await system.shelf.known()] == [1, 2]
    assert await job.run(system.clock.now()) == "there is a fresh one"
    assert not await system.shelf.is_fresh(now + timedelta(hours=25))


def test_a_backup_needs_a_recipient() -> None:
    for nobody in (None, "", "age1nonsense", "Maya"):
        with pytest.raises(BackupUnfit):
            recipients_of(nobody)


def test_the_command_line_makes_lists_verifies_and_restores(
    database_url: str, tmp_path: Path, empty_url: str
) -> None:
    data, identity = tmp_path / "data", str(tmp_path / "identity")
    people = tmp_path / "people.csv"
    people.write_text("key,name,email,lawful_basis,purpose\n7,Ada Lovelace,ada@example.com,contract,sales\n")
    assert lethe("import", "customers", str(people), database_url=database_url, data=data).returncode == 0
    public = lethe("backup", "keygen", identity).stdout.strip()
    refused = lethe("backup", str(tmp_path), database_url=database_url, data=data)
    assert (refused.returncode, "recipient" in refused.stderr, refused.stderr.count("\n")) == (1, True, 1)

    setting = {"LETHE_BACKUP_RECIPIENT": public}
    made = lethe("backup", str(tmp_path), "--json", database_url=database_url, data=data, **setting)
    assert made.returncode == 0, made.stderr
    file = document(made)["file"]
    verified = lethe(
        "backup", "verify", file, "--identity", identity, "--json", database_url=database_url, data=data
    )
    assert verified.returncode == 0, verified.stderr
    assert (document(verified)["recorded"], document(verified)["boxes_opened"]) == (True, 2)
    listed = document(lethe("backup", "list", "--json", database_url=database_url, data=data))
    assert [it["opens"] for it in listed["backups"]] == [True]
    assert listed["backups"][0]["verified_at"] is not None

    restored = lethe("restore", file, "--identity", identity, "--json", database_url=empty_url, data=data)
    assert restored.returncode == 0, restored.stderr
    assert document(restored)["erasures_applied"] == 0
    again = lethe("restore", file, "--identity", identity, database_url=empty_url, data=data)
    assert (again.returncode, "not empty" in again.stderr) == (1, True)
    for word in (b"Lovelace", b"ada@example.com"):
        assert word not in Path(file).read_bytes()
