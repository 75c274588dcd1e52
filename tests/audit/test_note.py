"""Signed notes, against the values published with Go's checksum database, and what must be refused.

Source: the example of golang.org/x/mod/sumdb/note (BSD 3-Clause), which C2SP's signed-note describes.
"""

import hashlib
from base64 import b64decode

import pytest

from infra.audit.note import (
    Checkpoint,
    Cosigner,
    Key,
    NoteUnverified,
    Signer,
    cosigned_at,
    parse_signature,
    split,
    verify,
    verify_any,
    verify_checkpoint,
    with_signature,
)

SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = (
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NOTE = f"{TEXT}\n{LINE}"
ORIGIN = "lethe/main/log"
LOG = Signer(ORIGIN, b"\x01" * 32)
WITNESS = Cosigner("witness.example/w1", b"\x02" * 32)
CHECKPOINT = Checkpoint(ORIGIN, 20852163, hashlib.sha256(b"root").digest())


def test_the_published_note_is_signed_and_verified() -> None:
    signer = Signer("PeterNeumann", SEED)
    assert signer.vkey == VKEY
    assert signer.sign(TEXT) == NOTE
    assert verify(NOTE, VKEY) == TEXT


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    both = with_signature(NOTE, split(LOG.sign(TEXT))[1][0].line)
    assert verify(both, VKEY) == verify(both, LOG.vkey) == TEXT
    text, found = verify_any(both, [LOG.key, Key.parse(VKEY), WITNESS.key])
    assert text == TEXT
    assert {it.name for it in found} == {"PeterNeumann", ORIGIN}
    namesake = Signer("PeterNeumann", b"\x05" * 32)  # the same name is not the same key
    assert verify(with_signature(NOTE, split(namesake.sign(TEXT))[1][0].line), VKEY) == TEXT


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("problem is", "problem Is"),
        NOTE.replace("/ZJkuBS9", "/ZJkuBS8"),
        NOTE.replace("BwJnAM=", "BwJnAN="),  # the same bytes, spelt otherwise
        NOTE.replace("\n\n", "\n"),
        NOTE.removesuffix("\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace(" PeterNeumann ", " Peter Neumann "),
        NOTE.replace("problem,", "problem,\r"),
        NOTE + "a line that is no signature\n",
        TEXT,
        "",
        "\n\n",
        f"{TEXT}\n" + LINE * 101,
    ],
)
def test_a_note_that_was_touched_is_refused(note: str) -> None:
    with pytest.raises(NoteUnverified):
        verify(note, VKEY)


def test_every_flipped_bit_of_a_note_is_found() -> None:
    for at in range(len(NOTE.encode()) * 8):
        flipped = bytearray(NOTE.encode())
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises((NoteUnverified, UnicodeDecodeError)):
            verify(flipped.decode(), VKEY)


def test_a_note_of_another_key_is_refused() -> None:
    with pytest.raises(NoteUnverified, match="known key"):
        verify(NOTE, LOG.vkey)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("PeterNeumann", "Peter Neumann"),
        VKEY.replace("+ARpc", "+AxRpc"),
        VKEY[:-4],
        VKEY + "=",
    ],
)
def test_a_verifier_key_with_an_error_in_it_is_refused(vkey: str) -> None:
    with pytest.raises(ValueError, match="verifier key"):
        Key.parse(vkey)


@pytest.mark.parametrize("text", ["no newline", "a\ttab\n", "\x00\n", ""])
def test_what_cannot_be_a_notes_text_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="note's text"):
        LOG.sign(text)


def test_a_text_with_empty_lines_keeps_them() -> None:
    text = "lethe/certificate/1\n\n{}\n"
    assert verify(LOG.sign(text), LOG.vkey) == text


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    note = LOG.sign(CHECKPOINT.text)
    assert note.startswith("lethe/main/log\n20852163\n")
    assert verify_checkpoint(note, LOG.vkey) == CHECKPOINT
    extended = LOG.sign(CHECKPOINT.text + "an extension line\n")
    assert verify_checkpoint(extended, LOG.vkey) == CHECKPOINT


def test_a_checkpoint_of_another_log_is_refused() -> None:
    other = Signer("lethe/main/access", b"\x01" * 32)
    with pytest.raises(NoteUnverified, match="another log"):
        verify_checkpoint(other.sign(CHECKPOINT.text), other.vkey)


@pytest.mark.parametrize(
    "text",
    [
        "lethe/main/log\n5\n",
        "lethe/main/log\n05\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "lethe/main/log\n-5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "lethe/main/log\n5\nAAAA\n",
        "\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "lethe/main/log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nmore\n",
    ],
)
def test_what_is_no_checkpoint_is_not_read_as_one(text: str) -> None:
    with pytest.raises(NoteUnverified, match="not a checkpoint"):
        verify_checkpoint(LOG.sign(text), LOG.vkey)


def test_a_witness_adds_its_signature_and_the_time() -> None:
    note = LOG.sign(CHECKPOINT.text)
    line = WITNESS.cosign(note, seconds=1679315147)
    cosigned = with_signature(note, line)
    assert cosigned_at(parse_signature(line)) == 1679315147
    assert verify_checkpoint(cosigned, LOG.vkey) == CHECKPOINT
    assert verify(cosigned, WITNESS.vkey) == CHECKPOINT.text
    assert with_signature(cosigned, line) == cosigned
    assert len(verify_any(cosigned, [LOG.key, Key.parse(WITNESS.vkey)])[1]) == 2


def test_a_witness_that_signed_something_else_spoils_the_note() -> None:
    note = LOG.sign(CHECKPOINT.text)
    elsewhere = LOG.sign(CHECKPOINT._replace(size=7).text)
    with pytest.raises(NoteUnverified, match="wrong"):
        verify(with_signature(note, WITNESS.cosign(elsewhere, seconds=1)), WITNESS.vkey)
    signature = parse_signature(WITNESS.cosign(note, seconds=1))
    postdated = signature._replace(content=(2).to_bytes(8) + signature.content[8:])
    with pytest.raises(NoteUnverified, match="wrong"):
        verify(with_signature(note, postdated.line), WITNESS.vkey)
