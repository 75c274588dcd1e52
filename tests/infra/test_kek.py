"""The key-encryption key: in a file of its own, made once, and every way in which it can be wrong."""

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.model import Category
from infra.kek import FileKek, KekUnusable, data_key_place, fingerprint, mint, open_kek, system_key_place


def test_a_new_kek_is_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "kek"
    kek = open_kek(f"file:{path}", create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_kek(f"file:{path}", create=False).id == kek.id
    assert list(path.parent.iterdir()) == [path]


def test_an_existing_kek_is_never_made_anew(tmp_path: Path) -> None:
    reference = f"file:{tmp_path / 'kek'}"
    assert open_kek(reference, create=True).id == open_kek(reference, create=True).id


def test_processes_that_start_at_once_end_up_with_one_kek(tmp_path: Path) -> None:
    reference = f"file:{tmp_path / 'kek'}"
    with ThreadPoolExecutor(16) as threads:
        ids = {kek.id for kek in threads.map(lambda _: open_kek(reference, create=True), range(64))}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "is missing"),
        ("", 0o600, "holds no KEK"),
        ("lethe-kek-1:AAAA\n", 0o600, "holds no KEK"),
        ("lethe-kek-1:" + "*" * 44, 0o600, "holds no KEK"),
        ("A" * 43 + "=", 0o600, "holds no KEK"),
        ("lethe-kek-1:" + "A" * 43 + "=\n", 0o644, "open to others"),
    ],
)
def test_a_kek_file_that_is_not_right_is_said_in_one_line(
    tmp_path: Path, content: str | None, mode: int, words: str
) -> None:
    path = tmp_path / "kek"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(KekUnusable, match=words) as refusal:
        open_kek(f"file:{path}", create=False)
    assert "\n" not in str(refusal.value)
    assert "AAAA" not in str(refusal.value)


def test_a_folder_in_place_of_the_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(KekUnusable, match="cannot be used"):
        open_kek(f"file:{tmp_path}", create=False)


@pytest.mark.parametrize("reference", ["vault:transit/lethe", "kms:alias/lethe", "file:", "", "kek"])
def test_a_reference_without_an_adapter_is_refused(reference: str) -> None:
    with pytest.raises(KekUnusable, match="no adapter"):
        open_kek(reference, create=True)


async def test_a_wrapped_key_unwraps_in_its_own_place_only() -> None:
    kek, key, subject = FileKek(bytes(32)), mint(), uuid4()
    place = data_key_place("main", subject, Category.IDENTITY, key.fingerprint)
    [wrapped] = await kek.wrap([key.secret], [place])
    elsewhere = [
        data_key_place("other", subject, Category.IDENTITY, key.fingerprint),
        data_key_place("main", uuid4(), Category.IDENTITY, key.fingerprint),
        data_key_place("main", subject, Category.CONTACT, key.fingerprint),
        data_key_place("main", subject, Category.IDENTITY, mint().fingerprint),
        system_key_place("main", "blind-index", key.fingerprint),
    ]
    assert await kek.unwrap([wrapped, *[wrapped] * 5], [place, *elsewhere]) == [key.secret, *[None] * 5]


def test_the_place_of_a_wrapped_key_is_as_written_down() -> None:
    """A key store outlives the program that wrote it, so this never changes."""
    parts = [b"lethe/wrap/1", b"data", b"main", UUID(int=5).bytes, b"identity", bytes([7] * 32)]
    place = data_key_place("main", UUID(int=5), Category.IDENTITY, bytes([7] * 32).hex())
    assert place == b"".join(len(part).to_bytes(2, "big") + part for part in parts)


async def test_every_flipped_bit_of_a_wrapped_key_is_found() -> None:
    kek, key = FileKek(bytes(32)), mint()
    place = data_key_place("main", UUID(int=1), Category.IDENTITY, key.fingerprint)
    [wrapped] = await kek.wrap([key.secret], [place])
    flipped = [
        (int.from_bytes(wrapped, "big") ^ 1 << bit).to_bytes(len(wrapped), "big")
        for bit in range(len(wrapped) * 8)
    ]
    assert set(await kek.unwrap(flipped, [place] * len(flipped))) == {None}
    assert await kek.unwrap([b""], [place]) == [None]


async def test_another_kek_unwraps_nothing() -> None:
    ours, theirs = FileKek(bytes(32)), FileKek(bytes([1] * 32))
    [wrapped] = await ours.wrap([bytes(32)], [b"place"])
    assert await theirs.unwrap([wrapped], [b"place"]) == [None]
    assert ours.id != theirs.id


def test_a_fingerprint_is_of_its_own_domain_and_tells_no_key() -> None:
    assert fingerprint(bytes(32)) != hashlib.sha256(bytes(32)).hexdigest()
    assert len({mint().fingerprint for _ in range(100)}) == 100
