"""Exports over HTTP: what leaves, how it is written, what the log says of it, and its proof."""

import base64
import csv
import hashlib
import io
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infra.audit.leaves import EVENT
from infra.audit.merkle import leaf_hash, verify_inclusion
from infra.audit.note import verify, verify_checkpoint
from infra.history.formats import PROOF_MARK, cell
from services.exports import Exports
from services.ports import Unavailable
from tests.http.samples import organisation, ticket
from tests.http.stack import Running


def moment(days: float) -> str:
    """So many days ago."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


@pytest.fixture
def worked(api: httpx.Client, created: Any) -> dict[str, Any]:
    """A lead that was contacted."""
    made: dict[str, Any] = created("leads", {"source": "fair", "name": "Maya <Brandt>"})
    api.post(f"/v1/leads/{made['id']}/contact", json={"reason": "=1+1"})
    return made


def of_record(made: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"what": "record-timeline", "id": made["id"], **more}


def post_many(api: httpx.Client, path: str, bodies: list[Any], **more: Any) -> None:
    """Several at a time: they are committed together."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda it: api.post(path, json=it, **more), bodies))
    assert all(it.is_success for it in answers)


def manifest_of(server: Running, api: httpx.Client, export_id: str) -> dict[str, Any]:
    note = api.get(f"/v1/exports/{export_id}/manifest")
    assert note.status_code == 200, note.text
    return checked(server, note.text)


def checked(server: Running, note: str) -> dict[str, Any]:
    """What the note says, its signature, leaf, inclusion and checkpoint verified."""
    head, _, said = verify(note, server.system.signer.vkey).partition("\n")
    assert head == "lethe/export/1"
    manifest: dict[str, Any] = json.loads(said)
    leaf = base64.b64decode(manifest["leaf"])
    # What goes before the state may hold any byte: position, ids and version, then the topic with its length.
    topic = len(EVENT) + 8 + 16 + 8
    told = json.loads(leaf[topic + 2 + int.from_bytes(leaf[topic : topic + 2]) :])["data"]
    assert {name: manifest[name] for name in told} == told
    checkpoint = verify_checkpoint(manifest["checkpoint"], server.system.signer.vkey)
    assert (checkpoint.size, checkpoint.root.hex()) == (manifest["tree_size"], manifest["root_hash"])
    hashes = [bytes.fromhex(it) for it in manifest["inclusion"]]
    index, size = manifest["leaf_index"], checkpoint.size
    verify_inclusion(index, size, leaf_hash(leaf), hashes, checkpoint.root)
    return manifest


def test_a_history_is_exported_line_by_line_as_it_is_read(api: httpx.Client, worked: dict[str, Any]) -> None:
    answer = api.post("/v1/exports", json=of_record(worked))
    assert answer.status_code == 200, answer.text
    lines = [json.loads(it) for it in answer.text.splitlines()]
    assert lines == api.get(f"/v1/leads/{worked['id']}/timeline").json()["items"]
    assert answer.headers["content-type"] == "application/jsonl"
    name = f"record-timeline-{answer.headers['lethe-export']}.jsonl"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_what_was_refused_after_the_last_event_holds_up_no_export(
    server: Running, api: httpx.Client, worked: dict[str, Any]
) -> None:
    async def draw_in_vain() -> None:
        async with server.system.pool.connection() as connection:
            await connection.execute("SELECT nextval('log.positions')")

    for wanted in (of_record(worked), {"what": "view", "view": "leads"}):
        server.call(draw_in_vain())
        answer = api.post("/v1/exports", json=wanted)
        assert answer.status_code == 200, answer.text


def test_the_log_says_what_was_exported_and_the_manifest_proves_it(
    server: Running, api: httpx.Client, worked: dict[str, Any]
) -> None:
    filters = {"types": ["lead.captured"]}
    answer = api.post("/v1/exports", json=of_record(worked, filters=filters))
    export_id = answer.headers["lethe-export"]
    digest = hashlib.sha256(answer.content).hexdigest()
    told = api.get(f"/v1/exports/{export_id}").json()
    assert (told["state"], told["what"], told["count"]) == ("made", "record-timeline", 1)
    assert told["filters"] == {"id": worked["id"], "types": '["lead.captured"]'}
    assert (told["sha256"], told["byte_count"]) == (digest, len(answer.content))
    manifest = manifest_of(server, api, export_id)
    assert (manifest["sha256"], manifest["count"], manifest["export_id"]) == (digest, 1, export_id)
    assert manifest["covered_position"] >= worked["position"]
    assert api.get(f"/v1/exports/{uuid4()}").status_code == 404
    assert api.get(f"/v1/exports/{worked['id']}/manifest").status_code == 404


def test_an_exported_person_finds_the_export_in_their_history(
    api: httpx.Client, worked: dict[str, Any]
) -> None:
    body = {"what": "subject-timeline", "id": worked["subject_id"]}
    answer = api.post("/v1/exports", json=body)
    assert len(answer.text.splitlines()) == 2
    entries: list[dict[str, Any]] = []
    for _ in range(50):
        entries = api.get(f"/v1/subjects/{worked['subject_id']}/timeline").json()["items"]
        if entries[-1]["type"] == "export.made":
            break
        time.sleep(0.1)
    assert [it["type"] for it in entries[-2:]] == ["export.begun", "export.made"]
    assert entries[-1]["record_id"] == answer.headers["lethe-export"]


def test_csv_has_a_line_an_event_and_no_formula(api: httpx.Client, worked: dict[str, Any]) -> None:
    answer = api.post("/v1/exports", json=of_record(worked, format="csv"))
    first, second = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (first["type"], second["reason"]) == ("lead.captured", "'=1+1")
    assert json.loads(first["personal"])["name"] == "Maya <Brandt>"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_begins_as_a_formula(start: str) -> None:
    assert cell(f"{start}1") == f"'{start}1"


def test_cells_are_texts_as_they_are_and_json(api: httpx.Client) -> None:
    assert [cell(it) for it in ("a", None, 3, True, ["=x"])] == ["a", "", "3", "true", '["=x"]']


def test_a_report_loads_nothing_escapes_all_and_brings_its_proof_along(
    server: Running, api: httpx.Client, worked: dict[str, Any]
) -> None:
    answer = api.post("/v1/exports", json=of_record(worked, format="html"))
    body, _, rest = answer.content.partition(PROOF_MARK)
    text = body.decode()
    assert "Maya &lt;Brandt&gt;" in text
    assert "Maya <" not in text
    assert not re.search(r"<(script|img|link|iframe)|url\(|(src|href)=\"(?!#)", text)
    assert "@page" in text
    note = unescape(re.search(r"<pre>(.*)</pre>", rest.decode(), re.DOTALL)[1])  # type: ignore[index]
    manifest = checked(server, note)
    assert manifest["sha256"] == hashlib.sha256(body).hexdigest()
    assert manifest["byte_count"] == len(body)


def test_a_view_is_exported_whole_as_of_any_time(api: httpx.Client, created: Any) -> None:
    product = f"Lathe {uuid4().hex[:8]}"
    ids = [created("tickets", ticket(product=product, occurred_at=moment(3)))["id"] for _ in range(3)]
    api.post(f"/v1/tickets/{ids[0]}/resolve", json={})
    then = {"what": "view", "view": "tickets", "filters": {"product": product, "as_of": moment(1)}}
    lines = [json.loads(it) for it in api.post("/v1/exports", json=then).text.splitlines()]
    assert [(it["id"], it["status"]) for it in lines] == [(id, "open") for id in sorted(ids)]
    now = {**then, "filters": {"product": product, "status": "resolved"}}
    assert [json.loads(it)["id"] for it in api.post("/v1/exports", json=now).text.splitlines()] == ids[:1]


@pytest.mark.parametrize(
    ("view", "member"), [("pipeline", "stage"), ("funnel", "reached"), ("win_rate", None)]
)
def test_figures_are_exported_part_by_part(api: httpx.Client, view: str, member: str | None) -> None:
    body = {"what": "view", "view": view, "filters": {"as_of": moment(0)}, "format": "csv"}
    answer = api.post("/v1/exports", json=body)
    assert answer.status_code == 200, answer.text
    if member is not None:
        assert member in answer.text.splitlines()[0].split(",")


def test_a_long_list_is_exported_to_its_end(api: httpx.Client) -> None:
    sector = f"sector {uuid4().hex[:8]}"
    post_many(api, "/v1/customers", [organisation(sector=sector)] * 205)
    body = {"what": "view", "view": "customers", "filters": {"sector": sector}}
    ids = [json.loads(it)["id"] for it in api.post("/v1/exports", json=body).text.splitlines()]
    assert (len(ids), len(set(ids))) == (205, 205)


@pytest.mark.parametrize(
    "body",
    [
        {"what": "everything"},
        {"what": "record-timeline"},
        {"what": "timeline", "id": str(uuid4())},
        {"what": "timeline", "filters": {"from": "yesterday"}},
        {"what": "timeline", "filters": {"name": "Maya"}},
        {"what": "view", "view": "secrets"},
        {"what": "view", "view": "leads", "id": str(uuid4())},
        {"what": "timeline", "view": "\U00046114\r\n"},
        {"what": "view", "view": "leads", "filters": {"q": "Maya"}},
        {"what": "view", "view": "leads", "filters": {"limit": 3}},
        {"what": "timeline", "format": "pdf"},
    ],
)
def test_an_export_that_makes_no_sense_is_refused_and_not_recorded(
    api: httpx.Client, body: dict[str, Any]
) -> None:
    before = recorded(api)
    answer = api.post("/v1/exports", json=body)
    assert answer.status_code == 422
    assert "lethe-export" not in answer.headers
    assert recorded(api) == before


def recorded(api: httpx.Client) -> list[str]:
    """The exports that the log says of that they begin."""
    items = api.get("/v1/events", params={"types": "export.begun", "limit": 1000}).json()["items"]
    return [it["subject"] for it in items]


@pytest.mark.parametrize("what", ["export", "dossier"])
def test_nothing_leaves_before_the_log_says_that_it_begins(
    api: httpx.Client, worked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    before = recorded(api)

    async def begin(self: Exports, **of: Any) -> None:
        raise Unavailable("the log takes nothing just now")

    monkeypatch.setattr(Exports, "begin", begin)
    if what == "export":
        answer = api.post("/v1/exports", json=of_record(worked))
    else:
        path = f"/v1/subjects/{worked['subject_id']}/dossier"
        answer = api.get(path, params={"at_least": worked["position"]})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:lethe:problem:unavailable")
    assert "Brandt" not in answer.text
    assert recorded(api) == before


def test_a_restricted_persons_history_is_exported_on_a_ground_alone(
    api: httpx.Client, worked: dict[str, Any]
) -> None:
    path = f"/v1/subjects/{worked['subject_id']}/restriction"
    assert api.post(path, json={"cause": "unlawful"}).status_code == 200
    body = {"what": "subject-timeline", "id": worked["subject_id"]}
    refused = api.post("/v1/exports", json=body)
    allowed = api.post("/v1/exports", json=body, headers={"Lethe-Ground": "subject_rights"})
    withheld = api.post("/v1/exports", json=of_record(worked))
    assert (refused.status_code, allowed.status_code, withheld.status_code) == (403, 200, 200)
    assert "Brandt" in allowed.text
    assert "Brandt" not in withheld.text


def test_an_export_that_the_reader_breaks_off_is_recorded_as_aborted(
    server: Running, api: httpx.Client
) -> None:
    actor = str(uuid4())
    made = api.post("/v1/tokens", json={"name": "bot", "scopes": ["write"], "actor_id": actor}).json()
    header = {"Authorization": f"Bearer {made['token']}"}
    body = {"source": "fair", "note": "n" * 20_000}
    post_many(api, "/v1/leads", [body] * 450, headers=header)
    export_id = break_off(server, {"what": "actor-timeline", "id": actor})
    told: dict[str, Any] = {}
    for _ in range(100):
        told = api.get(f"/v1/exports/{export_id}").json()
        if told["state"] != "begun":
            break
        time.sleep(0.1)
    assert told["state"] == "aborted"
    assert told["byte_count"] > 0
    assert told["sha256"] is None
    assert api.get(f"/v1/exports/{export_id}/manifest").status_code == 409


def break_off(server: Running, body: dict[str, Any]) -> str:
    """Ask for the export, read its beginning, and hang up."""
    host, port = server.url.removeprefix("http://").split(":")
    said = json.dumps(body)
    request = (
        f"POST /v1/exports HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.token()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n{said}"
    )
    with socket.create_connection((host, int(port))) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.sendall(request.encode())
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < 1_000:
            answer += line.recv(512)
    found = re.search(rb"lethe-export: (\S+)", answer)
    assert found, answer
    return found[1].decode()
