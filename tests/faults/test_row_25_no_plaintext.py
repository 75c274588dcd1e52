"""Row 25: unique markers through every path, then a search of every byte at rest. Not one is found."""

import os
import random
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from infra.kafka.broker import LocalBroker
from tests.faults.byte_search import Hit, search_bytes, search_folder, search_open_files

REPOSITORY = Path(__file__).parents[2]
TOKEN = "lethe-" + "t" * 40
INPUTS = "inputs"
LETTERS = "bcdfghjklmnpqrstvwxz"


@dataclass
class Markers:
    """Words that stand nowhere else. All of a kind begin alike, so that a few searches find any of them."""

    secret: str = field(default_factory=lambda: "".join(random.choices(LETTERS, k=12)))
    digits: str = field(default_factory=lambda: "1512" + "".join(random.choices("23456789", k=6)))
    public: str = field(default_factory=lambda: "".join(random.choices(LETTERS, k=12)))
    made: int = 0

    def word(self) -> str:
        self.made += 1
        return f"{self.secret}{self.made}x"

    def email(self) -> str:
        return f"{self.word()}@{self.word()}.example"

    def phone(self) -> str:
        self.made += 1
        return f"+49{self.digits}{self.made % 10}"

    @property
    def personal(self) -> tuple[str, str]:
        return self.secret, self.digits


@dataclass
class Site:
    """The product running in folders of its own, and its client."""

    folder: Path
    broker: LocalBroker
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    http: httpx.Client

    def post(self, path: str, body: Mapping[str, Any], *expected: int) -> dict[str, Any]:
        answer = self.http.post(path, json=body)
        assert answer.status_code in (expected or (200, 201)), (path, answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    def lethe(self, *arguments: str, status: int = 0) -> None:
        """A command of the command line, its words and complaints kept with the rest of the output."""
        with (self.folder / "output.log").open("ab") as output:
            done = subprocess.run(
                [sys.executable, "-m", "infra", *arguments],
                cwd=self.folder / "home", env=self.environment, stdout=output, stderr=output, check=False,
            )  # fmt: skip
        assert done.returncode == status, (arguments, (self.folder / "output.log").read_text()[-2000:])

    def input(self, name: str, *lines: str) -> str:
        """A file to import: the one place where markers may stand in the clear."""
        path = self.folder / INPUTS / name
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def database_url(self) -> str:
        return f"postgresql://postgres@/lethe?host={self.folder / 'data' / 'postgres'}"


@contextmanager
def site(folder: Path, broker: LocalBroker, namespace: str) -> Iterator[Site]:
    """`up`, its output, temporary files, home and data all under the folder."""
    for name in ("data", "temporary", "home", INPUTS):
        (folder / name).mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "LETHE_DATA": str(folder / "data"),
        "LETHE_NAMESPACE": namespace,
        "LETHE_KAFKA": broker.address,
        "LETHE_ADMIN_TOKEN": TOKEN,
        "LETHE_PORT": "0",
        "LETHE_LOG_LEVEL": "debug",
    }
    with (folder / "output.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", "up"],
            cwd=folder / "home",
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        url = _wait_for_url(folder / "output.log", process)
        with httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30, trust_env=False
        ) as http:
            yield Site(folder, broker, environment, process, http)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_for_url(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines()[::-1]:
            if "Lethe serves" in line:
                return line.split("serves ")[1].split()[0]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"it does not serve: {log.read_text()}")


def person(markers: Markers) -> dict[str, Any]:
    return {
        "kind": "person",
        "source": "web",
        "lawful_basis": "contract",
        "purpose": "sales",
        "name": f"Maya {markers.word()}",
        "email": markers.email(),
        "phone": markers.phone(),
        "address": f"{markers.word()} 7\n20259 Hamburg",
        "reason": markers.word(),
    }


def use_customers(at: Site, markers: Markers) -> list[str]:
    made = at.post("/v1/customers", person(markers))
    one = f"/v1/customers/{made['id']}"
    at.post(f"{one}/rename", {"name": markers.word(), "reason": markers.word()})
    at.post(f"{one}/change-email", {"email": markers.email()})
    at.post(f"{one}/change-phone", {"phone": markers.phone()})
    at.post(f"{one}/change-address", {"address": markers.word()})
    # Long enough to be stored out of line, and compressed if it could be.
    at.post(f"{one}/write-note", {"text": (markers.word() + " ") * 600})
    company = at.post(
        "/v1/customers",
        {
            "kind": "organisation",
            "source": "web",
            "lawful_basis": "contract",
            "purpose": "sales",
            "organisation": markers.public,
        },
    )
    contact = {"name": markers.word(), "role": markers.word(), "email": markers.email()}
    added = at.post(f"/v1/customers/{company['id']}/add-contact", {**contact, "phone": markers.phone()})
    contact_id = added["contact_id"]
    at.post(
        f"/v1/customers/{company['id']}/change-contact",
        {"contact_id": contact_id, "name": markers.word(), "phone": markers.phone()},
    )
    return [made["subject_id"], contact_id]


def use_leads(at: Site, markers: Markers) -> list[str]:
    lead = {"source": "web", "currency": "EUR", "name": markers.word(), "email": markers.email()}
    made = at.post("/v1/leads", {**lead, "phone": markers.phone(), "note": markers.word()})
    one = f"/v1/leads/{made['id']}"
    at.post(f"{one}/contact", {"channel": "phone", "note": markers.word(), "reason": markers.word()})
    at.post(f"{one}/qualify", {"value": {"amount": "12.50", "currency": "EUR"}})
    at.post(f"{one}/win", {"value": {"amount": "12.50", "currency": "EUR"}, "reason": markers.word()})
    lost = at.post("/v1/leads", lead)
    at.post(f"/v1/leads/{lost['id']}/lose", {"cause": "price", "note": markers.word()})
    return [made["subject_id"], lost["subject_id"]]


def use_tickets(at: Site, markers: Markers) -> list[str]:
    ticket = {"channel": "email", "impact": "low", "urgency": "low"}
    made = at.post("/v1/tickets", {**ticket, "subject": markers.word(), "description": markers.word()})
    one = f"/v1/tickets/{made['id']}"
    at.post(f"{one}/send-reply", {"channel": "email", "text": markers.word()})
    at.post(f"{one}/receive-reply", {"channel": "email", "text": markers.word()})
    at.post(f"{one}/write-note", {"text": markers.word()})
    at.post(f"{one}/resolve", {"note": markers.word()})
    return [made["subject_id"]]


def use_members(at: Site, markers: Markers) -> list[str]:
    made = at.post("/v1/members", {"name": markers.word(), "email": markers.email(), "team": "Devices"})
    return [made["subject_id"]]


def import_files(at: Site, markers: Markers) -> None:
    """Good rows and bad ones, of every kind of file; then the same again."""
    people = at.input(
        "people.csv",
        "key,name,email,phone,address,born_on,lawful_basis,purpose,note",
        f"{markers.word()},{markers.word()},{markers.email()},{markers.phone()},{markers.word()},1970-01-01,"
        f"contract,sales,{markers.word()}",
        f"{markers.word()},{markers.word()},{markers.word()},,,,contract,sales,",
        f"{markers.word()},{markers.word()},,{markers.word()},,{markers.word()},contract,sales,",
        f"{markers.word()},{markers.word()},,,,,{markers.word()},sales,",
    )
    cards = at.input(
        "people.vcf",
        "BEGIN:VCARD\nVERSION:3.0",
        f"UID:{markers.word()}\nFN:{markers.word()}\nN:{markers.word()};{markers.word()}",
        f"EMAIL:{markers.email()}\nTEL:{markers.word()}\nBDAY:{markers.word()}\nNOTE:{markers.word()}",
        "END:VCARD",
    )
    staff = at.input("staff.ndjson", f'{{"key": "{markers.word()}", "name": "{markers.word()}"}}')
    leads = at.input(
        "leads.csv",
        "key,source,name,email,note",
        f"{markers.word()},fair,{markers.word()},{markers.email()},",
    )
    broken = at.input("broken.ndjson", f'{{"key": "{markers.word()}", "name": "{markers.word()}')
    at.lethe("import", "customers", people, "--dry-run", "--json", status=1)
    for _ in range(2):
        at.lethe("import", "customers", people, status=1)
    at.lethe("import", "customers", cards)
    at.lethe("import", "members", staff)
    at.lethe("import", "leads", leads)
    at.lethe("import", "members", broken, status=1)
    at.lethe("status")


def ask(at: Site, markers: Markers) -> None:
    """Reads, searches and lookups, with the markers in the question."""
    for path in ("customers", "leads", "tickets", "members"):
        assert at.http.get(f"/v1/{path}", params={"limit": 50}).status_code == 200
    assert at.http.get("/v1/customers", params={"q": markers.word()}).status_code == 200
    assert at.http.get("/v1/customers", params={"q": markers.secret}).status_code == 200
    at.post("/v1/customers/lookup", {"email": markers.email()}, 200)
    at.post("/v1/customers/lookup", {"phone": markers.phone()}, 200)
    assert at.http.get("/v1/events", params={"after": 0, "limit": 100}).status_code == 200
    assert at.http.get("/metrics").status_code == 200


def blunder(at: Site, markers: Markers) -> None:
    """Requests that are refused on every ground, each with a marker in it."""
    bad = person(markers)
    at.post("/v1/customers", {**bad, "email": markers.word()}, 422)
    at.post("/v1/customers", {**bad, "phone": markers.word()}, 422)
    at.post("/v1/customers", {**bad, "born_on": markers.word()}, 422)
    at.post("/v1/customers", {**bad, "occurred_at": markers.word()}, 422)
    at.post("/v1/customers", {**bad, markers.word(): markers.word()}, 422)
    at.post("/v1/customers", {**bad, "kind": "organisation"}, 409, 422)
    at.post("/v1/members", {"email": markers.email()}, 422)
    at.post(f"/v1/customers/{markers.word()}/rename", {"name": markers.word()}, 404, 422)
    assert at.http.get(f"/v1/{markers.word()}").status_code == 404
    assert at.http.get("/v1/customers", params={markers.word(): markers.word()}).status_code in (200, 422)
    broken = f'{{"name": "{markers.word()}'
    assert at.http.post(
        "/v1/customers", content=broken, headers={"content-type": "application/json"}
    ).is_error
    key = {"Idempotency-Key": markers.word()}
    assert at.http.post("/v1/customers", json=person(markers), headers=key).status_code == 201
    assert at.http.post("/v1/customers", json=person(markers), headers=key).status_code == 409
    headers = {
        "X-Correlation-Id": markers.word(),
        "traceparent": markers.word(),
        "User-Agent": markers.word(),
    }
    assert at.http.post("/v1/customers", json=person(markers), headers=headers).status_code in (201, 400, 422)
    assert (
        at.http.get("/v1/customers", headers={"Authorization": f"Bearer {markers.word()}"}).status_code == 401
    )


def erase(at: Site, markers: Markers, subject_id: str) -> None:
    body = {"ground": "consent_withdrawn", "reason": markers.word()}
    done = at.post(f"/v1/subjects/{subject_id}/erasure", body)
    seen = at.http.get(f"/v1/subjects/{subject_id}", params={"at_least": done["position"]})
    assert seen.status_code == 200
    assert seen.json()["erased"]


def wait_until_relayed(at: Site, word: str) -> None:
    """Kafka's log has what came last."""
    deadline = time.monotonic() + 60
    while not search_folder(at.broker.folder / "log", [word]):
        assert time.monotonic() < deadline, "the relay did not bring it to Kafka"
        time.sleep(0.5)


def dump(url: str) -> Iterator[tuple[str, bytes]]:
    """Every table as text, whatever the storage did to it: compressed, out of line, as hex."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as rows:
                yield table, b"".join(bytes(row) for row in rows)


def use_everything(at: Site, markers: Markers) -> None:
    people = [*use_customers(at, markers), *use_leads(at, markers), *use_tickets(at, markers)]
    people += use_members(at, markers)
    ask(at, markers)
    blunder(at, markers)
    import_files(at, markers)
    for subject_id in people[::2]:
        erase(at, markers, subject_id)
    at.lethe("erase", people[1], "--reason", markers.word())
    ask(at, markers)
    last = at.post(
        "/v1/tickets",
        {"channel": "email", "impact": "low", "urgency": "low", "product": markers.public + "last"},
    )
    assert at.http.get("/v1/tickets", params={"at_least": last["position"]}).status_code == 200
    wait_until_relayed(at, markers.public + "last")


@pytest.mark.broker
@pytest.mark.timeout(600)
def test_no_byte_at_rest_shows_a_person(tmp_path: Path, broker: LocalBroker) -> None:
    markers = Markers()
    namespace = f"n{random.randrange(10**9)}"
    with site(tmp_path, broker, namespace) as at:
        use_everything(at, markers)
        processes = [psutil.Process(at.process.pid), *psutil.Process(at.process.pid).children(recursive=True)]
        hits = search_open_files(processes, markers.personal)
        tables = dict(dump(at.database_url()))
    hits += [hit for table, text in tables.items() for hit in search_bytes(text, markers.personal, table)]
    inputs = [
        tmp_path / INPUTS / name
        for name in ("people.csv", "people.vcf", "staff.ndjson", "leads.csv", "broken.ndjson")
    ]
    hits += search_folder(tmp_path, markers.personal, but=inputs)
    hits += search_folder(broker.folder, markers.personal)

    size = sum(it.stat().st_size for it in (*tmp_path.rglob("*"), *broker.folder.rglob("*")) if it.is_file())
    print(
        f"row 25: {markers.made} markers; {len(tables)} tables, {size >> 20} MiB of files: {len(hits)} hits"
    )
    assert hits == []
    _the_search_would_have_found_it(tmp_path, broker, tables, markers.public)


def _the_search_would_have_found_it(
    folder: Path, broker: LocalBroker, tables: Mapping[str, bytes], word: str
) -> None:
    """The control: a public word went the same ways, and is found at the end of each."""
    found = [hit.place for hit in search_folder(folder, [word]) + search_folder(broker.folder, [word])]
    assert any("/pg_wal/" in place for place in found)
    assert any("/base/" in place for place in found)
    assert any(str(broker.folder) in place for place in found)
    tables_found = {table for table, text in tables.items() if list(search_bytes(text, [word], table))}
    assert {"log.events", "directory.customers"} <= tables_found


@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_the_search_finds_a_word_in_every_form(before: str) -> None:
    word = "bcdfghjklmnp"
    text = f"{before}{word}and more".encode()
    for written, form in [
        (text, "plain"),
        (text.upper(), "plain"),
        (text.decode().encode("utf-16-le"), "utf-16"),
        (text.hex().encode(), "hex"),
        (text.hex().upper().encode(), "hex"),
        (text.hex().encode().hex().encode(), "hex of hex"),
        (b64encode(text), f"base64+{len(before)}"),
    ]:
        assert Hit("here", form) in list(search_bytes(b"\0\xff" + written + b"\0", [word], "here"))
    assert list(search_bytes(text.replace(b"p", b"q"), [word], "here")) == []
