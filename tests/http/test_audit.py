"""The audit trees over HTTP: checked as an auditor would, from the key and the notes alone."""

import time
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from infra.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from infra.audit.note import Checkpoint, Cosigner, verify, verify_checkpoint
from tests.http.samples import person
from tests.http.stack import WITNESS, Running

SIGNED_SECONDS_MAX = 20


@pytest.fixture
def vkey(api: httpx.Client) -> str:
    keys: dict[str, Any] = api.get("/v1/audit/key").json()
    assert keys["witnesses"] == [WITNESS.vkey]
    found = {it["log"]: it for it in keys["logs"]}
    assert (found["log"]["origin"], found["access"]["origin"]) == ("lethe/main/log", "lethe/main/access")
    key: str = found["log"]["vkey"]
    return key


@pytest.fixture
def proved(api: httpx.Client, created: Any) -> dict[str, Any]:
    """An event, and the proof of it."""
    made = created("customers", person())
    return proof_of(api, made["position"])


def proof_of(api: httpx.Client, position: int) -> dict[str, Any]:
    """Asked for as long as no checkpoint covers it."""
    until = time.monotonic() + SIGNED_SECONDS_MAX
    while (answer := api.get("/v1/audit/inclusion", params={"position": position})).status_code == 503:
        assert answer.headers["retry-after"]
        assert time.monotonic() < until
        time.sleep(0.05)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def check(proof: dict[str, Any], vkey: str) -> Checkpoint:
    """The checkpoint that the proof leads to, where it does."""
    checkpoint = verify_checkpoint(proof["checkpoint"], vkey)
    hashes = [b64decode(it) for it in proof["hashes"]]
    verify_inclusion(proof["index"], checkpoint.size, b64decode(proof["leaf"]), hashes, checkpoint.root)
    return checkpoint


def test_an_event_is_proved_to_be_in_the_signed_log(
    api: httpx.Client, server: Running, proved: dict[str, Any], vkey: str
) -> None:
    checkpoint = check(proved, vkey)
    assert (checkpoint.origin, checkpoint.size) == ("lethe/main/log", proved["size"])
    position = proved["position"]
    [stored] = server.call(server.system.reader.at_positions([position]))
    assert not isinstance(stored.originator_id, str)
    topic = stored.topic.encode()
    data = b"".join(
        (
            b"lethe/leaf/1\0",
            position.to_bytes(8),
            stored.originator_id.bytes,
            stored.originator_version.to_bytes(8),
            len(topic).to_bytes(2) + topic,
            stored.state,
        )
    )
    assert b64decode(proved["leaf"]) == leaf_hash(data)


def test_the_log_is_proved_to_have_only_grown(
    api: httpx.Client, created: Any, proved: dict[str, Any], vkey: str
) -> None:
    before = verify_checkpoint(proved["checkpoint"], vkey)
    after = check(proof_of(api, created("customers", person())["position"]), vkey)
    query = {"from": before.size, "to": after.size}
    proof = api.get("/v1/audit/consistency", params=query).json()
    hashes = [b64decode(it) for it in proof["hashes"]]
    verify_consistency(before.size, after.size, before.root, after.root, hashes)
    newest = api.get("/v1/audit/consistency", params={"from": before.size}).json()
    assert verify_checkpoint(newest["checkpoint"], vkey).size == newest["to_size"] >= after.size


def test_checkpoints_are_listed_newest_first_and_the_newest_stands_alone(
    api: httpx.Client, created: Any, proved: dict[str, Any], vkey: str
) -> None:
    proof_of(api, created("customers", person())["position"])
    newest = api.get("/v1/audit/checkpoint")
    assert newest.headers["content-type"] == "text/plain; charset=utf-8"
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/audit/checkpoints", params=query).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    sizes = [verify_checkpoint(it["note"], vkey).size for it in found]
    assert sizes == sorted({it["size"] for it in found}, reverse=True)
    assert {verify_checkpoint(newest.text, vkey).size, proved["size"]} <= set(sizes)
    assert api.get(f"/v1/audit/checkpoints/{sizes[-1]}").json() == found[-1]


def test_a_tile_holds_the_leafs_hash_where_the_layout_says(api: httpx.Client, proved: dict[str, Any]) -> None:
    number, place = divmod(proved["index"], 256)
    tile = api.get(f"/v1/audit/tiles/0/{number}")
    assert tile.headers["content-type"] == "application/octet-stream"
    assert tile.content[place * 32 : place * 32 + 32] == b64decode(proved["leaf"])
    assert api.get("/v1/audit/tiles/0/999999").status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/v1/audit/inclusion?position=999999999", 404, "not-in-tree"),
        ("/v1/audit/inclusion?position=1&size=999999999", 404, "not-in-tree"),
        ("/v1/audit/inclusion", 422, "malformed"),
        ("/v1/audit/consistency?from=0", 422, "malformed"),
        ("/v1/audit/consistency?from=2&to=1", 422, "malformed"),
        ("/v1/audit/consistency?from=1&to=999999999", 404, "not-in-tree"),
        ("/v1/audit/checkpoints?cursor=x", 422, "malformed"),
        ("/v1/audit/checkpoints/999999999", 404, "not-found"),
        ("/v1/audit/checkpoint?log=other", 422, "malformed"),
    ],
)
def test_what_there_is_no_proof_of_is_refused(
    api: httpx.Client, proved: dict[str, Any], path: str, status: int, kind: str
) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:lethe:problem:{kind}")


def cosign(api: httpx.Client, size: int, line: str) -> httpx.Response:
    return api.post(f"/v1/audit/checkpoints/{size}/cosignatures", json={"line": line})


def test_a_witness_cosigns_a_checkpoint(
    api: httpx.Client, server: Running, proved: dict[str, Any], vkey: str
) -> None:
    now = int(datetime.now(UTC).timestamp())
    line = WITNESS.cosign(proved["checkpoint"], seconds=now)
    answer = cosign(api, proved["size"], line)
    assert answer.status_code == 200, answer.text
    note = answer.json()["note"]
    assert verify_checkpoint(note, vkey).size == proved["size"]
    assert verify(note, WITNESS.vkey) == verify(proved["checkpoint"], vkey)
    assert cosign(api, proved["size"], line.strip()).json() == answer.json()  # again: nothing more
    assert api.get(f"/v1/audit/checkpoints/{proved['size']}").json()["note"] == note
    written = server.system.settings.checkpoint_folder / "log" / f"{proved['size']:020d}"
    until = time.monotonic() + SIGNED_SECONDS_MAX
    while written.read_text() != note:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_only_a_known_witness_of_this_checkpoint_is_taken(
    api: httpx.Client, proved: dict[str, Any], vkey: str
) -> None:
    now = int(datetime.now(UTC).timestamp())
    note, size = proved["checkpoint"], proved["size"]
    stranger = Cosigner("witness.example/w1", b"\x09" * 32)
    another = f"{verify(note, vkey)}an extension line\n\n" + note.rpartition("\n\n")[2]
    refused = [
        stranger.cosign(note, seconds=now),
        WITNESS.cosign(another, seconds=now),
        WITNESS.cosign(note, seconds=now + 3600),
        note.rpartition("\n\n")[2],  # the log's own signature
        "— witness.example/w1 AAAA",
        "x",
    ]
    for line in refused:
        answer = cosign(api, size, line)
        assert answer.status_code == 409, answer.text
        assert answer.json()["type"] == "urn:lethe:problem:cosignature-refused"
    right = WITNESS.cosign(note, seconds=now)
    assert cosign(api, 999_999_999, right).status_code == 404


def test_who_saw_what_has_a_tree_of_its_own(api: httpx.Client, created: Any, read: Any, vkey: str) -> None:
    assert read("customers", created("customers", person())).status_code == 200
    until = time.monotonic() + SIGNED_SECONDS_MAX
    while (answer := api.get("/v1/audit/checkpoint", params={"log": "access"})).status_code == 404:
        assert time.monotonic() < until
        time.sleep(0.05)
    keys = {it["log"]: it["vkey"] for it in api.get("/v1/audit/key").json()["logs"]}
    newest = verify_checkpoint(answer.text, keys["access"])
    assert newest.origin == "lethe/main/access"
    query: dict[str, str | int] = {"log": "access", "position": 1, "size": newest.size}
    proof = api.get("/v1/audit/inclusion", params=query).json()
    assert check(proof, keys["access"]) == newest


def test_a_fault_of_a_tree_shows_on_readyz(
    api: httpx.Client, server: Running, proved: dict[str, Any]
) -> None:
    assert api.get("/readyz").json()["checks"]["trees"] is None
    page = api.get("/metrics").text
    assert 'lethe_tree_fault{tree="log"} 0.0' in page
    assert 'lethe_checkpoint_age_seconds{tree="log"}' in page
    set_fault(server, "the log has forked")
    try:
        answer = api.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["trees"]) == (503, "log: the log has forked")
    finally:
        set_fault(server, None)


def set_fault(server: Running, fault: str | None) -> None:
    async def work() -> None:
        async with server.system.pool.connection() as connection:
            await connection.execute("UPDATE audit.trees SET fault = %s WHERE log = 'log'", [fault])

    server.call(work())
