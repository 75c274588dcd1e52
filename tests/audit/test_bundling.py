"""Bundles out of a running system, verified as an auditor does; and `lethe verify` over the same."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from infra.audit import verifier
from infra.audit.bundling import Range, thinned
from infra.audit.checkpoints import StoredCheckpoint
from infra.audit.tree import NotInTree, NotInTreeYet
from infra.audit.verifier import Outcome, VerifierKey
from infra.auditing import bundling_of
from infra.bootstrap import System, open_system
from infra.settings import Settings
from tests.audit.world import verified, world


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with world(database_url, tmp_path / "data", people=15) as system:
        yield system


async def written(path: Path, pieces: AsyncIterator[bytes]) -> Path:
    content = b"".join([it async for it in pieces])
    await asyncio.to_thread(path.write_bytes, content)
    return path


def judged(path: Path, system: System) -> Outcome:
    return verifier.verify_bundle(path, VerifierKey.parse(system.signer.vkey), [], 1, lambda words: None)


async def test_a_bundle_of_the_whole_log_is_verified_by_a_stranger(system: System, tmp_path: Path) -> None:
    for erasure_id in await _erasures(system):
        assert await system.certificates.issue(erasure_id) is not None
    path = await written(tmp_path / "bundle.zip", await bundling_of(system).of_range(Range()))
    command = [sys.executable, "-I", "-S", verifier.__file__, str(path), "--vkey", system.signer.vkey]
    ran = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env={}, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("VERIFIED\n")
    assert ran.stdout.count("erased: everything of subject") == 3
    assert ran.stdout.count("erased: contact of subject") == 3
    assert "earlier checkpoints: the tree has only grown" in ran.stdout
    assert "notes: 9 certificates and manifests say what the log says" in ran.stdout


async def test_ranges_and_records_are_verified(system: System, tmp_path: Path) -> None:
    bundling, size = bundling_of(system), await system.tree.size()
    assert size > 256
    for start, end in [(0, 0), (0, 1), (3, 257), (250, size), (size - 1, size), (size, size)]:
        path = await written(tmp_path / "range.zip", await bundling.of_range(Range(start, end)))
        found = judged(path, system)
        assert found.well, found.lines
        assert found.document["leaves"] == end - start
    with psycopg.connect(system.database.url) as connection:
        rows = connection.execute(
            "SELECT originator_id, count(*) FROM log.events GROUP BY 1 ORDER BY min(position) LIMIT 3"
        ).fetchall()
    for record_id, count in rows:
        path = await written(tmp_path / "record.zip", await bundling.of_record(record_id))
        found = judged(path, system)
        assert found.well, found.lines
        assert (found.document["leaves"], found.document["record"]) == (count, str(record_id))


async def test_what_is_not_in_the_signed_tree_is_refused(system: System) -> None:
    bundling, size = bundling_of(system), await system.tree.size()
    for wanted in [Range(0, size + 1), Range(5, 4), Range(size + 1)]:
        with pytest.raises(NotInTree):
            await bundling.of_range(wanted)
    with pytest.raises(NotInTree):
        await bundling.of_record(uuid4())


async def test_before_anything_is_signed_there_is_no_bundle(database_url: str, tmp_path: Path) -> None:
    from pydantic import SecretStr

    settings = Settings(data=tmp_path / "data", database_url=SecretStr(database_url))
    async with open_system(settings) as system:
        with pytest.raises(NotInTreeYet):
            await bundling_of(system).of_range(Range())
        found = await verified(system)
        assert found.findings.kept == []
        assert found.leaves == {"log": 0, "access": 0}


async def test_an_event_that_was_changed_before_the_bundle_was_made_is_named(
    system: System, tmp_path: Path
) -> None:
    with psycopg.connect(system.database.url) as connection:
        connection.execute("UPDATE log.events SET topic = 'customer.archived' WHERE position = 100")
    index = await system.tree.index_of(100)
    path = await written(tmp_path / "bundle.zip", await bundling_of(system).of_range(Range()))
    assert judged(path, system).document["first_bad_index"] == index
    found = await verified(system)
    assert found.findings.first_bad_index == index
    assert not found.document()["verified"]
    assert f"the first bad index is {index}" in found.lines()[-1]


async def test_events_that_wait_for_the_tree_are_told_and_no_fault(system: System) -> None:
    with psycopg.connect(system.database.url) as connection:
        connection.execute(
            "INSERT INTO log.events (originator_id, originator_version, topic, state)"
            " SELECT %s, 1, topic, state FROM log.events LIMIT 1",
            [uuid4()],
        )
    found = await verified(system)
    assert found.findings.kept == []
    assert found.unsequenced == {"log": 1, "access": 0}
    assert "1 of log are in no tree yet" in found.lines()


async def test_an_erasure_that_goes_on_meanwhile_is_no_fault(system: System) -> None:
    subject_id = await _living(system)
    async with system.pool.connection() as connection:
        await connection.execute("SELECT keys.shred(%s)", [subject_id])
    words = [str(it) for it in (await verified(system)).findings.kept]
    assert words == [
        f"key store: subject {subject_id}: something of it is erased in the key store,"
        " and the log does not say so"
    ]
    with psycopg.connect(system.database.url) as connection:
        connection.execute(
            "INSERT INTO log.events (originator_id, originator_version, topic, state)"
            " SELECT %s, 1, 'erasure.requested', convert_to(%s, 'UTF8')",
            [uuid4(), f'{{"data": {{"erased_subject_id": "{subject_id}"}}}}'],
        )
    assert (await verified(system)).findings.kept == []


async def test_a_certificate_is_verified_alone(system: System, tmp_path: Path) -> None:
    [erasure_id, *_] = await _erasures(system)
    note = await system.certificates.issue(erasure_id)
    assert note is not None
    path = tmp_path / "certificate.note"
    await asyncio.to_thread(path.write_text, note)
    found = verifier.verify_note(path, None, VerifierKey.parse(system.signer.vkey))
    assert found.well, found.lines
    assert found.document["claims"]["erasure_id"] == str(erasure_id)
    assert "2 events proved to be in the log" in found.lines[1]


async def _erasures(system: System) -> list[UUID]:
    async with system.pool.connection() as connection:
        query = "SELECT originator_id FROM log.events WHERE topic = 'subject.erased' ORDER BY position"
        return [it for (it,) in await (await connection.execute(query)).fetchall()]


async def _living(system: System) -> UUID:
    """Somebody of whom nothing is erased."""
    async with system.pool.connection() as connection:
        query = (
            "SELECT subject_id FROM keys.data_keys GROUP BY subject_id"
            " HAVING bool_and(state = 'active') AND bool_or(category = 'identity') LIMIT 1"
        )
        [subject_id] = await (await connection.execute(query)).fetchone() or (UUID(int=0),)
    assert isinstance(subject_id, UUID)
    return subject_id


def test_of_many_checkpoints_a_bundle_takes_the_newest_and_fewer_of_the_older() -> None:
    from datetime import UTC, datetime

    many = [StoredCheckpoint(it, b"", "", datetime.now(UTC), it) for it in range(1000, 0, -1)]
    kept = [it.size for it in thinned(many, 50)]
    assert kept == sorted(set(kept))
    assert kept[-5:] == [996, 997, 998, 999, 1000]
    assert len(kept) <= 50
    assert kept[0] < 100
