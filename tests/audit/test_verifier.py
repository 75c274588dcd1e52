"""The offline verifier as a stranger runs it: alone in an empty folder, with an interpreter only."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from infra.audit import verifier
from infra.audit.note import Signer
from tests.audit.bundles import SIGNER, Log, event, framed, members, members_of_record, uuid, write

Members = dict[str, bytes]
Ran = tuple[int, dict[str, Any]]
LOG = Log.of(1500)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Empty but for the verifier."""
    shutil.copy(verifier.__file__, tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", "verifier.py", *arguments],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def judged(folder: Path, made: Members, *arguments: str) -> Ran:
    """The exit code and the document on a bundle of these members."""
    write(folder / "bundle.zip", made)
    ran = run(folder, "bundle.zip", "--json", *arguments)
    assert "Traceback" not in ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def found(document: dict[str, Any]) -> list[tuple[str, int | None, int | None]]:
    return [(it["place"], it["first"], it["last"]) for it in document["findings"]]


def test_it_needs_python_3_9_and_the_standard_library_only() -> None:
    tree = ast.parse(Path(verifier.__file__).read_text(), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [it.name for it in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names)


def test_a_whole_log_is_verified(folder: Path) -> None:
    code, document = judged(
        folder, members(LOG, earlier=[0, 1, 255, 256, 257, 1000, 1499, 1500]), "--vkey", SIGNER.vkey
    )
    assert (code, document["verified"], document["findings"]) == (0, True, [])
    assert (document["leaves"], document["records"], document["size"]) == (1500, 7, 1500)
    assert document["vkey_from"] == "caller"
    assert [it["name"] for it in document["checks"]] == [
        "file",
        "checkpoint",
        "leaves",
        "earlier checkpoints",
    ]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512])
def test_a_log_of_any_size_is_verified(folder: Path, size: int) -> None:
    code, document = judged(folder, members(Log.of(size)))
    assert (code, document["leaves"], document["findings"]) == (0, size, [])


def test_a_big_log_is_verified_level_by_level_and_by_several_processes(folder: Path) -> None:
    big = Log.of(66_000, records=900)
    made = members(big)
    code, document = judged(folder, made, "--processes", "2")
    assert (code, document["leaves"], document["records"]) == (0, 66_000, 900)
    big.leaves[60_123] = big.leaves[60_123][:-9] + b"X" + big.leaves[60_123][-8:]
    code, document = judged(folder, made | {"leaves.bin": framed(big.leaves)}, "--processes", "2")
    assert (code, document["first_bad_index"], found(document)) == (1, 60_123, [("leaf", 60_123, None)])


@pytest.mark.parametrize(("first", "last"), [(0, 256), (300, 700), (1499, 1500), (255, 257), (700, 700)])
def test_a_range_is_verified(folder: Path, first: int, last: int) -> None:
    code, document = judged(folder, members(LOG, first=first, last=last, earlier=[256, 1000]))
    assert (code, document["leaves"], document["findings"]) == (0, last - first, [])


def test_the_events_of_one_record_are_verified(folder: Path) -> None:
    record = UUID(bytes=LOG.leaves[3][21:37])
    made = members_of_record(LOG, record)
    code, document = judged(folder, made)
    assert (code, document["leaves"], document["record"]) == (0, 214, str(record))
    lines = made["proofs.jsonl"].splitlines()
    code, document = judged(folder, made | {"proofs.jsonl": b"\n".join([lines[1], *lines[1:], b""])})
    assert (code, found(document)[0]) == (1, ("leaf", 10, None))
    mine = [it for it in LOG.leaves if it[21:37] == record.bytes]
    code, document = judged(folder, made | {"leaves.bin": framed(mine[:-1])})
    assert (code, document["missing"]) == (1, [[1494, 1494]])
    code, document = judged(folder, made | {"leaves.bin": framed([*mine[:7], *mine[8:]])})
    assert (code, document["first_bad_index"]) == (1, 52)


def changed(at: int) -> Callable[[list[bytes]], None]:
    def change(leaves: list[bytes]) -> None:
        leaves[at] = leaves[at].replace(b'"web"', b'"fax"')

    return change


def deleted(at: int, count: int = 1) -> Callable[[list[bytes]], None]:
    def delete(leaves: list[bytes]) -> None:
        del leaves[at : at + count]

    return delete


def inserted(at: int) -> Callable[[list[bytes]], None]:
    def insert(leaves: list[bytes]) -> None:
        leaves.insert(at, event(Random(9), 2_000_000, uuid(Random(9)), 1))

    return insert


def swapped(one: int, other: int) -> Callable[[list[bytes]], None]:
    def swap(leaves: list[bytes]) -> None:
        leaves[one], leaves[other] = leaves[other], leaves[one]

    return swap


@pytest.mark.parametrize(
    ("damage", "first", "missing"),
    [
        (changed(0), 0, []),
        (changed(255), 255, []),
        (changed(1499), 1499, []),
        (deleted(0), 0, [[0, 0]]),
        (deleted(700), 700, [[700, 700]]),
        (deleted(200, 900), 200, [[200, 1099]]),
        (deleted(1499), 1499, [[1499, 1499]]),
        (deleted(0, 1500), 0, [[0, 1499]]),
        (inserted(0), 0, []),
        (inserted(800), 800, []),
        (inserted(1500), 1500, []),
        (swapped(10, 11), 10, []),
        (swapped(20, 1400), 20, []),
    ],
)
def test_the_first_bad_index_and_what_is_missing_are_named(
    folder: Path, damage: Callable[[list[bytes]], None], first: int, missing: list[list[int]]
) -> None:
    leaves = list(LOG.leaves)
    damage(leaves)
    code, document = judged(folder, members(LOG) | {"leaves.bin": framed(leaves)})
    assert (code, document["verified"]) == (1, False)
    assert (document["first_bad_index"], document["missing"]) == (first, missing)


def test_a_range_that_lacks_its_end_says_so(folder: Path) -> None:
    made = members(LOG, first=100, last=1400) | {"leaves.bin": framed(LOG.leaves[100:900])}
    code, document = judged(folder, made)
    assert (code, document["missing"]) == (1, [[900, 1399]])


@pytest.mark.parametrize(
    ("level", "at", "expected"), [(0, 700, (700, 700)), (0, 1450, (1450, 1450)), (1, 2, (512, 767))]
)
def test_a_wrong_hash_in_a_tile_is_named_and_its_leaves_are_cleared(
    folder: Path, level: int, at: int, expected: tuple[int, int]
) -> None:
    made = members(LOG)
    name = f"tiles/{level}"
    tile = bytearray(made[name])
    tile[at * 32 + 5] ^= 4
    code, document = judged(folder, made | {name: bytes(tile)})
    assert (code, found(document)) == (1, [("tile", *expected)])
    assert f"level {level}, tile {at // 256}, hash {at % 256} is wrong" in document["findings"][0]["words"]


def test_a_changed_leaf_and_a_wrong_tile_are_told_apart(folder: Path) -> None:
    made, leaves = members(LOG), list(LOG.leaves)
    changed(300)(leaves)
    tile = bytearray(made["tiles/0"])
    tile[900 * 32] ^= 1
    code, document = judged(folder, made | {"tiles/0": bytes(tile), "leaves.bin": framed(leaves)})
    assert (code, found(document)) == (1, [("tile", 900, 900), ("leaf", 300, None)])


def test_a_forged_log_with_tiles_of_its_own_does_not_reach_the_signed_root(folder: Path) -> None:
    forged = Log(list(LOG.leaves))
    changed(5)(forged.leaves)
    code, document = judged(folder, members(forged) | {"checkpoint": LOG.checkpoint().encode()})
    assert (code, found(document)) == (1, [("checkpoint", None, None)])


def test_a_log_that_its_own_key_signed_anew_is_caught_by_the_checkpoint_the_auditor_kept(
    folder: Path,
) -> None:
    forged = Log(list(LOG.leaves))
    changed(5)(forged.leaves)
    (folder / "kept").write_text(LOG.checkpoint(1000))
    assert judged(folder, members(forged))[0] == 0
    code, document = judged(folder, members(forged), "--earlier", "kept")
    assert (code, found(document)) == (1, [("kept", None, None)])
    assert judged(folder, members(LOG), "--earlier", "kept")[0] == 0


def test_a_kept_checkpoint_that_the_bundle_cannot_speak_to_is_not_passed_over(folder: Path) -> None:
    (folder / "kept").write_text(LOG.checkpoint(1000))
    code, document = judged(folder, members(LOG, first=0, last=10), "--earlier", "kept")
    assert (code, found(document)) == (1, [("kept", None, None)])
    shorter = Log(LOG.leaves[:900])
    code, document = judged(folder, members(shorter), "--earlier", "kept")
    assert (code, "more than the bundle's tree has" in document["findings"][0]["words"]) == (1, True)


def test_a_consistency_proof_for_another_tree_is_refused(folder: Path) -> None:
    made = members(LOG, first=0, last=10, earlier=[1000])
    made["earlier/1000.note"] = Log.of(1500, seed=2).checkpoint(1000).encode()
    code, document = judged(folder, made)
    assert (code, found(document)) == (1, [("earlier/1000.proof", None, None)])


def test_a_checkpoint_of_another_key_is_refused(folder: Path) -> None:
    other = Signer(SIGNER.name, b"\x09" * 32)
    code, document = judged(folder, members(LOG), "--vkey", other.vkey)
    assert (code, [it["place"] for it in document["findings"]]) == (1, ["checkpoint"])


def test_an_event_that_is_not_well_formed_is_named_though_the_tree_has_it(folder: Path) -> None:
    log = Log(list(LOG.leaves[:300]))
    log.leaves[7] = log.leaves[7].replace(b'"box": "', b'"box": "?')
    log.leaves[9] = log.leaves[9][:-1]
    log.leaves[11] = b"lethe/leaf/1\0short"
    code, document = judged(folder, members(log))
    assert (code, [it[1] for it in found(document)][:3]) == (1, [7, 9, 11])


def test_a_broken_length_does_not_hide_what_comes_after(folder: Path) -> None:
    made = members(LOG)
    data = bytearray(made["leaves.bin"])
    start = sum(4 + len(it) for it in LOG.leaves[:40])
    data[start + 3] ^= 2
    code, document = judged(folder, made | {"leaves.bin": bytes(data)})
    assert (code, document["first_bad_index"]) == (1, 40)
    assert max(last for _, last in document["missing"] or [[0, 40]]) <= 42
    data[start] ^= 0x80
    code, document = judged(folder, made | {"leaves.bin": bytes(data)})
    assert (code, document["first_bad_index"]) == (1, 40)


def test_what_was_erased_is_listed(folder: Path) -> None:
    dice = Random(3)
    log, erasure, subject = Log.of(20), uuid(dice), uuid(dice)
    facts: list[tuple[str, dict[str, Any]]] = [
        ("erasure.requested", {"erased_subject_id": str(subject), "ground": "objection"}),
        ("subject.erased", {"erased_subject_id": str(subject), "fingerprints": ["ab"], "categories": []}),
        ("erasure.sealed", {"epoch": 3, "kek_id": "file-1"}),
    ]
    for version, (topic, data) in enumerate(facts, 1):
        log.leaves.append(event(dice, 1000 + version, erasure, version, topic, data))
    code, document = judged(folder, members(log))
    assert code == 0
    at = "2026-03-01T10:00:00Z"
    assert document["erasures"] == [
        {
            "erasure_id": str(erasure),
            "subject_id": str(subject),
            "categories": [],
            "requested": {"at": at, "position": 1001},
            "erased": {"at": at, "position": 1002, "fingerprints": ["ab"]},
            "sealed": {"at": at, "position": 1003, "epoch": 3},
        }
    ]
    words = run(folder, "bundle.zip").stdout
    assert f"erased: everything of subject {subject}, requested {at} (position 1001)" in words
    assert "by epoch 3" in words


def test_words_end_with_the_verdict(folder: Path) -> None:
    write(folder / "bundle.zip", members(LOG))
    ran = run(folder, "bundle.zip")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "VERIFIED")
    assert "give --vkey one that you trust" in ran.stdout
    leaves = list(LOG.leaves)
    changed(77)(leaves)
    write(folder / "bundle.zip", members(LOG) | {"leaves.bin": framed(leaves)})
    ran = run(folder, "bundle.zip", "--vkey", SIGNER.vkey)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (
        1,
        "NOT VERIFIED: 1 wrong; the first bad index is 77",
    )


@pytest.mark.parametrize(
    "arguments", [[], ["absent.zip"], ["bundle.zip", "--vkey", "nonsense"], ["--unknown"]]
)
def test_wrong_use_is_told_apart_from_a_wrong_log(folder: Path, arguments: list[str]) -> None:
    write(folder / "bundle.zip", members(Log.of(1)))
    ran = run(folder, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr


def test_a_bundle_that_says_it_holds_more_than_it_can_is_refused(folder: Path) -> None:
    made = members(LOG)
    manifest = json.loads(made["manifest.json"]) | {"size": 2**60, "to_index": 2**60}
    signed = SIGNER.sign(f"{SIGNER.name}\n{2**60}\n{'A' * 43}=\n").encode()
    code, document = judged(
        folder, made | {"manifest.json": json.dumps(manifest).encode(), "checkpoint": signed}
    )
    assert (code, found(document)) == (1, [("leaves", None, None)])


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"{}", b'{"format": "lethe/bundle/1"}', b"[" * 100_000, b'{"format": "x"}']
)
def test_a_manifest_that_is_none_is_told(folder: Path, manifest: bytes) -> None:
    code, document = judged(folder, members(LOG) | {"manifest.json": manifest})
    assert (code, len(document["findings"])) == (1, 1)


def test_a_key_in_the_bundle_that_is_none_is_told(folder: Path) -> None:
    made = members(LOG)
    manifest = json.loads(made["manifest.json"]) | {"vkey": "x"}
    code, document = judged(folder, made | {"manifest.json": json.dumps(manifest).encode()})
    assert (code, "verifier key" in document["findings"][0]["words"]) == (1, True)


@pytest.mark.parametrize("left", [0, 10, 1000, -1])
def test_a_file_that_breaks_off_is_not_verified(folder: Path, left: int) -> None:
    path = write(folder / "bundle.zip", members(Log.of(10)))
    path.write_bytes(path.read_bytes()[:left])
    ran = run(folder, "bundle.zip")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("name", ["manifest.json", "checkpoint", "leaves.bin", "tiles/0", "tiles/1"])
def test_a_member_that_is_not_there_is_named(folder: Path, name: str) -> None:
    made = members(Log.of(300))
    del made[name]
    code, document = judged(folder, made)
    assert code == 1
    assert any(name in it["words"] for it in document["findings"])
