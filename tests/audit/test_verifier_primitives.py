"""The verifier's own hashing, proofs and signatures, held to published vectors and to other code."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from infra.audit import merkle, verifier
from infra.audit.note import Cosigner, Signer
from infra.audit.verifier import VerifierKey, note_text, split_note
from tests.audit.bundles import SIGNER, Log

VECTORS = Path(__file__).parents[1] / "vectors"
PROOFS = json.loads((VECTORS / "rfc6962.json").read_text())
SIGNATURES = json.loads((VECTORS / "ed25519.json").read_text())["vectors"]
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""


def hashes(case: dict[str, Any], *names: str) -> list[bytes]:
    return [b64decode(case[it] or "") for it in names]


def proof(case: dict[str, Any]) -> list[bytes]:
    return [b64decode(it) for it in case["proof"] or ()]


@pytest.mark.parametrize("case", PROOFS["inclusion"], ids=lambda it: it["name"])
def test_inclusion_is_judged_as_published(case: dict[str, Any]) -> None:
    leaf, root = hashes(case, "leafHash", "root")
    found = verifier.included(case["leafIdx"], case["treeSize"], leaf, proof(case), root)
    assert found is not case["wantErr"]


@pytest.mark.parametrize("case", PROOFS["consistency"], ids=lambda it: it["name"])
def test_consistency_is_judged_as_published(case: dict[str, Any]) -> None:
    old, new = hashes(case, "root1", "root2")
    found = verifier.consistent(case["size1"], case["size2"], old, new, proof(case))
    assert found is not case["wantErr"]


@pytest.mark.parametrize("case", PROOFS["inclusion"], ids=lambda it: it["name"])
def test_the_servers_own_check_of_inclusion_agrees(case: dict[str, Any]) -> None:
    leaf, root = hashes(case, "leafHash", "root")
    found = not case["wantErr"]
    try:
        merkle.verify_inclusion(case["leafIdx"], case["treeSize"], leaf, proof(case), root)
    except merkle.ProofInvalid:
        found = not found
    assert found


@pytest.mark.parametrize("case", PROOFS["consistency"], ids=lambda it: it["name"])
def test_the_servers_own_check_of_consistency_agrees(case: dict[str, Any]) -> None:
    old, new = hashes(case, "root1", "root2")
    found = not case["wantErr"]
    try:
        merkle.verify_consistency(case["size1"], case["size2"], old, new, proof(case))
    except merkle.ProofInvalid:
        found = not found
    assert found


@given(st.integers(0, 1100))
def test_tiles_lead_to_the_root_of_rfc_6962(size: int) -> None:
    log = Log([b"%d" % it for it in range(size)])
    tree = verifier.Tree(size, 0, size, [size])
    for (level, number), tile in log.tiles().items():
        assert number in tree.numbers(level)
        if level:
            tree.stored[level, number] = tile
        else:
            tree.put(number, tile, tile)
    frontier = merkle.Frontier()
    for leaf in log.leaves:
        frontier.append(verifier.leaf_hash(leaf))
    assert tree.root_at(size) == frontier.root()
    assert tree.resolve(frontier.root()) == ([], set())


@pytest.mark.parametrize("case", SIGNATURES, ids=lambda it: it["public"][:8])
def test_signatures_are_verified_as_rfc_8032_says(case: dict[str, str]) -> None:
    public, message, signature = (bytes.fromhex(case[it]) for it in ("public", "message", "signature"))
    assert verifier.ed25519_verified(public, message, signature)
    assert not verifier.ed25519_verified(public, message + b"\0", signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511))
def test_a_flipped_bit_of_a_signature_is_seen(seed: bytes, message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert verifier.ed25519_verified(public, message, signature)
    assert not verifier.ed25519_verified(public, message, bytes(flipped))


def test_a_signature_has_one_form_only() -> None:
    public, message, signature = (bytes.fromhex(SIGNATURES[1][it]) for it in SIGNATURES[1])
    s = int.from_bytes(signature[32:], "little") + verifier.ORDER
    assert not verifier.ed25519_verified(public, message, signature[:32] + s.to_bytes(32, "little"))
    assert not verifier.ed25519_verified(b"\xff" * 32, message, signature)
    assert not verifier.ed25519_verified(public, message, signature[:63])


def test_the_published_note_is_verified() -> None:
    assert note_text(NOTE.encode(), VerifierKey.parse(VKEY)) == NOTE.rpartition("\n\n")[0] + "\n"
    with pytest.raises(ValueError, match="signature"):
        note_text(NOTE.replace("think", "thank").encode(), VerifierKey.parse(VKEY))


def test_every_flipped_bit_of_a_checkpoint_is_seen() -> None:
    note, key = Log.of(5).checkpoint().encode(), VerifierKey.parse(SIGNER.vkey)
    assert verifier.read_checkpoint(note, key, SIGNER.name).size == 5
    for bit in range(len(note) * 8):
        flipped = bytearray(note)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError):  # noqa: PT011 - of any kind
            verifier.read_checkpoint(bytes(flipped), key, SIGNER.name)


def test_a_witnesses_signature_does_not_disturb() -> None:
    note = Log.of(5).checkpoint()
    witness = Cosigner("witness.example/w1", b"\2" * 32)
    cosigned = note + witness.cosign(note, seconds=1_700_000_000)
    assert note_text(cosigned.encode(), VerifierKey.parse(SIGNER.vkey)) == split_note(note.encode()).text


def test_a_checkpoint_of_another_key_or_log_is_refused() -> None:
    key, log = VerifierKey.parse(SIGNER.vkey), Log.of(5)
    with pytest.raises(ValueError, match="no signature"):
        verifier.read_checkpoint(
            log.checkpoint(signer=Signer(SIGNER.name, b"\1" * 32)).encode(), key, key.name
        )
    with pytest.raises(ValueError, match="another log"):
        verifier.read_checkpoint(log.checkpoint().encode(), key, "lethe/other/log")


@pytest.mark.parametrize("vkey", ["", "a+b", VKEY[:-1], VKEY.replace("c74f20a3", "c74f20a4"), "x y" + VKEY])
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(verifier.Unusable):
        VerifierKey.parse(vkey)
