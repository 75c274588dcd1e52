"""The certificate of an erasure says what was done and what was not, and an auditor verifies it alone."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from domain.erasure.aggregate import ErasureNotCarriedOut
from domain.model import Category
from domain.values import ErasureGround, ExportFormat
from infra.audit import verifier
from infra.audit.note import NoteUnverified, verify
from infra.bootstrap import System, open_system
from infra.certificates import TEXT, ErasureNotFound
from infra.postgres.replays import PostgresReplays
from infra.replay import Replay
from infra.settings import load
from infra.work import going_on, sequencing
from tests.infra.test_ledger_guard import command, erase, register


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """With its audit tree growing; two subscribers are known."""
    settings = load(
        database_url=database_url, data=tmp_path, subscribers="shop, newsletter", checkpoint_seconds="1"
    )
    stop = asyncio.Event()
    async with open_system(settings) as opened, going_on(sequencing(opened), stop):
        yield opened


async def issued(system: System, erasure_id: UUID) -> tuple[str, dict[str, Any]]:
    note = await system.certificates.issue(erasure_id, patience=30)
    assert note is not None
    text = verify(note, system.signer.vkey)
    assert text.startswith(TEXT)
    document: dict[str, Any] = json.loads(text.removeprefix(TEXT))
    return note, document


def verified(note: str, vkey: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """By the verifier in one file, in a process of its own."""
    (tmp_path / "certificate.note").write_text(note)
    assert verifier.__file__ is not None
    return subprocess.run(
        [sys.executable, "-I", verifier.__file__, str(tmp_path / "certificate.note"), "--vkey", vkey],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_certificate_says_what_was_done_and_an_auditor_verifies_it_offline(
    system: System, tmp_path: Path
) -> None:
    ann = await register(system)
    erasure_id = await erase(system, ann)
    await system.erasures.acknowledge(id=erasure_id, subscriber="shop", context=command(system))
    note, document = await issued(system, erasure_id)
    assert (document["erasure_id"], document["subject_id"]) == (str(erasure_id), str(ann))
    assert len(document["fingerprints"]) == 1
    assert [it["topic"] for it in document["events"]] == [
        "erasure.requested",
        "subject.erased",
        "erasure.acknowledged",
    ]
    assert {it["store"]: it["covered"] for it in document["stores"]}["log"] is True
    assert document["statement"].startswith("Cryptographic erasure")
    assert [(it["name"], it["acknowledged_at"] is not None) for it in document["subscribers"]] == [
        ("newsletter", False),
        ("shop", True),
    ]
    assert "subscriber newsletter: it has not acknowledged" in document["not_covered"]
    assert any(it.startswith("write-ahead log") for it in document["not_covered"]), "it is not sealed yet"
    result = await asyncio.to_thread(verified, note, system.signer.vkey, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 events proved to be in the log" in result.stdout


async def test_it_names_who_follows_and_has_not_acknowledged_and_who_ended_with_a_copy(
    system: System,
) -> None:
    ids = {}
    for name in ("post", "mirror", "old", "idle"):
        made = await system.subscribers.register(name=name, purpose="support", context=command(system))
        ids[name] = made.id
    for name in ("post", "old"):
        await system.subscribers.grant(
            id=ids[name], categories=[Category.CONTACT, Category.IDENTITY], context=command(system)
        )
    for name in ("old", "idle"):
        await system.subscribers.end(id=ids[name], context=command(system))
    erasure_id = await erase(system, await register(system), Category.IDENTITY)
    await system.subscribers.register(name="young", purpose="support", context=command(system))
    await system.erasures.acknowledge(id=erasure_id, subscriber="post", context=command(system))
    _, document = await issued(system, erasure_id)
    found = {it["name"]: it for it in document["subscribers"]}
    assert found.keys() == {"mirror", "newsletter", "old", "post", "shop"}
    assert {name for name, it in found.items() if it["acknowledged_at"]} == {"post"}
    assert {name: it["granted"] for name, it in found.items()} == {
        "mirror": [],
        "newsletter": None,
        "old": ["identity"],
        "post": ["identity"],
        "shop": None,
    }
    assert [name for name, it in found.items() if it["ended_at"]] == ["old"]
    assert "subscriber mirror: it has not acknowledged" in document["not_covered"]
    assert "subscriber old: it has not acknowledged, and follows no more" in document["not_covered"]


async def test_a_changed_certificate_is_found_out(system: System, tmp_path: Path) -> None:
    erasure_id = await erase(system, await register(system))
    note, document = await issued(system, erasure_id)
    changed = note.replace(document["subject_id"], str(uuid4()))
    with pytest.raises(NoteUnverified):
        verify(changed, system.signer.vkey)
    result = await asyncio.to_thread(verified, changed, system.signer.vkey, tmp_path)
    assert result.returncode == 1
    # Signed by the right key, but claiming what the log does not say.
    text = verify(note, system.signer.vkey).replace(document["fingerprints"][0], "0" * 64)
    lie = system.signer.sign(text)
    result = await asyncio.to_thread(verified, lie, system.signer.vkey, tmp_path)
    assert (result.returncode, "fingerprints" in result.stdout + result.stderr) == (1, True)
    text = verify(note, system.signer.vkey).replace(
        '"acknowledged_at": null', f'"acknowledged_at": "{document["erased_at"]}"', 1
    )
    result = await asyncio.to_thread(verified, system.signer.sign(text), system.signer.vkey, tmp_path)
    assert (result.returncode, "acknowledgement by" in result.stdout + result.stderr) == (1, True)


async def test_a_certificate_of_a_partial_erasure_says_that_the_rest_is_still_there(system: System) -> None:
    erasure_id = await erase(system, await register(system), Category.IDENTITY)
    _, document = await issued(system, erasure_id)
    assert document["categories"] == ["identity"]
    assert any("other categories" in it for it in document["not_covered"])
    assert {it["store"]: it["done"] for it in document["stores"]}["index of addresses"].startswith("kept")


async def test_sealed_by_an_epoch_old_copies_are_covered(system: System) -> None:
    erasure_id = await erase(system, await register(system))
    report = await system.rotation.run()
    _, document = await issued(system, erasure_id)
    assert (document["sealed_epoch"], document["sealed_at"] is not None) == (report.epoch, True)
    assert not any(it.startswith("write-ahead log") for it in document["not_covered"])


async def test_backups_and_exports_from_before_are_named_as_not_covered(system: System) -> None:
    subject_id, backup = await register(system), uuid7()
    about: dict[str, Any] = {"file": "monday", "size_bytes": 1, "sha256": "ab" * 32, "snapshot_position": 0}
    await system.shelf.backups.make(id=backup, context=command(system), epoch=1, **about)
    theirs, everybodys, anothers = [await export(system, it) for it in (subject_id, None, uuid7())]
    erasure_id = await erase(system, subject_id)
    named = "; ".join((await issued(system, erasure_id))[1]["not_covered"])
    assert f"backup {backup}: not covered: it holds the keys as they were" in named
    assert f"export {theirs}, of this person" in named
    assert f"export {everybodys}, of many" in named
    assert str(anothers) not in named
    await system.shelf.backups.delete(id=backup, context=command(system))
    assert f"backup {backup}: its file was deleted" in (await issued(system, erasure_id))[1]["not_covered"]
    await system.rotation.run()
    assert str(backup) not in "; ".join((await issued(system, erasure_id))[1]["not_covered"])


async def export(system: System, subject_id: UUID | None) -> UUID:
    """An export that was handed over to its end."""
    id = uuid7()
    await system.exports.begin(
        id=id,
        what="customers",
        filters={},
        format=ExportFormat.CSV,
        covered_position=0,
        exported_subject_id=subject_id,
        context=command(system),
    )
    await system.exports.complete(id=id, count=1, byte_count=1, sha256="ab" * 32, context=command(system))
    return id


async def test_certificates_are_kept_the_newest_of_each_state(system: System) -> None:
    erasure_id = await erase(system, await register(system))
    await issued(system, erasure_id)
    newest, _ = await issued(system, erasure_id)
    assert await system.certificates.stored() == [(erasure_id, newest)]


async def test_the_topics_of_replays_are_named_until_they_are_deleted(system: System) -> None:
    replays = PostgresReplays(system.pool)
    await replays.begin(Replay("billing", "main.replay.billing", None, 0, 0))
    erasure_id = await erase(system, await register(system))
    assert (await issued(system, erasure_id))[1]["topics"] == ["main.replay.billing"]
    await replays.forget("billing")
    assert (await issued(system, erasure_id))[1]["topics"] == []


async def test_there_is_no_certificate_of_what_was_not_done(system: System) -> None:
    with pytest.raises(ErasureNotFound):
        await system.certificates.issue(uuid4())
    asked = await system.erasures.request(
        id=uuid4(),
        erased_subject_id=await register(system),
        ground=ErasureGround.OBJECTION,
        context=command(system),
    )
    with pytest.raises(ErasureNotCarriedOut):
        await system.certificates.issue(asked.id)


async def test_nothing_personal_is_in_a_certificate(system: System) -> None:
    erasure_id = await erase(system, await register(system))
    note, _ = await issued(system, erasure_id)
    assert "Ann" not in note
