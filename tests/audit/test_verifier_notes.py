"""Certificates and manifests, verified alone and with the log, as a stranger does."""

import hashlib
import json
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from infra.audit import verifier
from infra.audit.merkle import inclusion_proof
from infra.audit.note import Signer
from infra.audit.tiles import Tiles
from tests.audit.bundles import SIGNER, Log, event, members, uuid, write

DICE = Random(5)
EXPORT, ERASURE, SUBJECT = (str(uuid(DICE)) for _ in range(3))
CONTENT = b'{"id": 1}\n' * 1000
MADE = {
    "what": "customers",
    "format": "jsonl",
    "count": 1000,
    "byte_count": len(CONTENT),
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
}
AT = "2026-03-01T10:00:00Z"
ERASED = {"erased_subject_id": SUBJECT, "fingerprints": ["ab" * 32], "categories": []}


def log_of_both() -> Log:
    log = Log.of(300)
    facts: list[tuple[str, str, dict[str, Any]]] = [
        (EXPORT, "export.made", MADE),
        (ERASURE, "erasure.requested", {"erased_subject_id": SUBJECT, "ground": "objection"}),
        (ERASURE, "subject.erased", ERASED),
        (ERASURE, "erasure.sealed", {"epoch": 2, "kek_id": "file-1"}),
    ]
    for number, (record, topic, data) in enumerate(facts):
        made = event(DICE, 2000 + number, UUID(record), max(1, number), topic, data)
        log.leaves.append(made)
    return log


LOG = log_of_both()


def proof(index: int, log: Log = LOG) -> dict[str, Any]:
    hashes = inclusion_proof(index, log.size, Tiles(log.tiles()))
    return {
        "leaf": b64encode(log.leaves[index]).decode(),
        "leaf_index": index,
        "inclusion": [it.hex() for it in hashes],
        "checkpoint": log.checkpoint(),
    }


EVENTS = [
    {"topic": "erasure.requested", "position": 2001, **proof(301)},
    {"topic": "subject.erased", "position": 2002, **proof(302)},
    {"topic": "erasure.sealed", "position": 2003, **proof(303)},
]


def note(kind: str, claims: dict[str, Any], signer: Signer = SIGNER) -> str:
    return signer.sign(f"{kind}\n{json.dumps(claims, indent=2)}\n")


def manifest(**other: Any) -> str:
    claims = {"export_id": EXPORT, "position": 2000, **MADE, **proof(300), **other}
    return note("lethe/export/1", claims)


def certificate(**other: Any) -> str:
    claims = {
        "erasure_id": ERASURE,
        "subject_id": SUBJECT,
        "fingerprints": ERASED["fingerprints"],
        "erased_at": AT,
        "sealed_at": AT,
        "sealed_epoch": 2,
        "events": EVENTS,
        "checkpoint": LOG.checkpoint(),
    }
    return note("lethe/certificate/1", claims | other)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(verifier.__file__, tmp_path)
    return tmp_path


def judged(folder: Path, *arguments: str, vkey: str = SIGNER.vkey) -> tuple[int, str]:
    """The exit code, and what is wrong."""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "verifier.py", *arguments, "--json", "--vkey", vkey],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, "; ".join(it["words"] for it in json.loads(ran.stdout)["findings"])


def test_an_export_is_the_one_that_its_manifest_speaks_of(folder: Path) -> None:
    (folder / "m.note").write_text(manifest())
    (folder / "export.jsonl").write_bytes(CONTENT)
    assert judged(folder, "export.jsonl", "--manifest", "m.note") == (0, "")
    (folder / "export.jsonl").write_bytes(CONTENT.replace(b"1", b"2", 1))
    code, words = judged(folder, "export.jsonl", "--manifest", "m.note")
    assert (code, words) == (1, "the export is not the one that this is the manifest of")


@pytest.mark.parametrize("before", [0, 10, (1 << 20) - 7, 3 << 20])
def test_the_digest_of_a_report_ends_before_its_proof(folder: Path, before: int) -> None:
    content = b"<" * before
    digest = verifier.export_digest(_put(folder / "a.html", content + verifier.REPORT_END + b"<p>proof</p>"))
    assert digest == (hashlib.sha256(content).hexdigest(), before)
    assert verifier.export_digest(_put(folder / "b.csv", content)) == digest


def _put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_certificate_is_verified_alone(folder: Path) -> None:
    (folder / "c.note").write_text(certificate())
    assert judged(folder, "c.note") == (0, "")
    code, words = judged(folder, "c.note", vkey=Signer("lethe/main/log", b"\1" * 32).vkey)
    assert (code, "no signature" in words) == (1, True)
    (folder / "c.note").write_text(certificate().replace(SUBJECT, ERASURE))
    assert judged(folder, "c.note") == (1, "the signature is wrong")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"subject_id": EXPORT}, "subject_id is not what the event at position 2001 says"),
        ({"fingerprints": []}, "fingerprints is not what the event at position 2002 says"),
        ({"erasure_id": EXPORT}, "erasure_id is not what the event at position 2001 says"),
        ({"erased_at": "2025-01-01T00:00:00Z"}, "erased_at is not what the event at position 2002 says"),
        ({"sealed_epoch": 1}, "sealed_epoch is not what the event at position 2003 says"),
        ({"events": EVENTS[:2]}, "it does not prove that there is the event erasure.sealed"),
        ({"events": [], "sealed_epoch": None}, "it does not prove that there is the event erasure.requested"),
        ({"events": [{**EVENTS[0], "position": 7}]}, "leaf 301 is another event than it is said to be"),
        ({"events": [{**EVENTS[0], "topic": "x"}]}, "leaf 301 is another event than it is said to be"),
        ({"events": [proof(301) | {"leaf_index": 300}]}, "the event of leaf 300 is not in the tree"),
        ({"events": [proof(5)]}, "leaf 5 is no event that a note tells of"),
        ({"events": [{"leaf": "eHg=", "leaf_index": 1}]}, "what it says is not in the right form"),
        (
            {"subscribers": [{"name": "shop", "acknowledged_at": AT}]},
            "no event proves what is said of the acknowledgement by shop",
        ),
        ({"subscribers": [{"name": "shop"}]}, "what it says is not in the right form"),
    ],
)
def test_a_certificate_that_claims_otherwise_than_the_log_is_refused(
    folder: Path, other: dict[str, Any], words: str
) -> None:
    (folder / "c.note").write_text(certificate(**other))
    assert judged(folder, "c.note") == (1, words)


def test_a_manifest_that_claims_otherwise_than_the_log_is_refused(folder: Path) -> None:
    (folder / "m.note").write_text(manifest(count=999))
    code, words = judged(folder, "m.note")
    assert (code, words) == (1, "count is not what the event at position 2000 says")


def test_notes_in_a_bundle_are_held_against_its_log(folder: Path) -> None:
    made = members(LOG)
    notes = {f"certificates/{ERASURE}.note": certificate(), f"exports/{EXPORT}.note": manifest()}
    write(folder / "bundle.zip", made | {name: it.encode() for name, it in notes.items()})
    assert judged(folder, "bundle.zip") == (0, "")
    wrong = certificate(events=[*EVENTS, {"topic": "erasure.sealed", "position": 2001}])
    write(folder / "bundle.zip", made | {"certificates/a.note": wrong.encode()})
    assert judged(folder, "bundle.zip") == (1, "the log has no erasure.sealed at position 2001")
    outside = certificate(events=[*EVENTS, {"topic": "erasure.sealed", "position": 90_000}])
    write(folder / "bundle.zip", made | {"certificates/a.note": outside.encode()})
    assert judged(folder, "bundle.zip") == (0, ""), "what lies outside the bundle is not judged by it"


def test_a_note_needs_a_key_from_elsewhere(folder: Path) -> None:
    (folder / "c.note").write_text(certificate())
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "verifier.py", "c.note"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, "--vkey" in ran.stderr) == (2, True)
