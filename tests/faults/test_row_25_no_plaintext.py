"""Row 25: unique markers through every path, then a search of every byte at rest. Not one is found."""

import random
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.backup.archive import identities_in, reading
from infra.inventory import REASON, Sort, fields
from infra.kafka.broker import LocalBroker
from tests.faults.byte_search import Hit, Search, search_bytes
from tests.faults.marked_reading import (
    hand_out,
    inspect_and_certify,
    make_a_report,
    open_as_a_subscriber,
    read_what_does_not,
    read_what_shows,
    search_for_people,
    use_the_command_line,
)
from tests.faults.marked_rights import erase_in_every_way, fulfil, use_rights
from tests.faults.marked_site import CALLER, Markers, Site, site
from tests.faults.marked_use import (
    blunder,
    blunder_about_rights,
    import_files,
    make_a_long_history,
    use_customers,
    use_leads,
    use_members,
    use_tickets,
)

IMPORTED = {"people.csv", "people.vcf", "staff.ndjson", "leads.csv", "broken.ndjson"}
EXPORTED = {"record.csv", "all.jsonl", "customers.html", "dossier.json", "dossier.html", "shown"}
BESIDE = {
    *("record.csv.proof", "all.jsonl.proof", "customers.html.proof"),
    *("people.csv.rejected.ndjson", "people.vcf.rejected.ndjson", "broken.ndjson.rejected.ndjson"),
}
"""What the product puts beside files of the caller's. It shows nobody."""
FILLED = {
    *("access.batches", "access.subjects", "audit.checkpoints", "audit.tiles", "history.reports"),
    *("history.segments", "ledger.certificates", "log.snapshots", "privacy.requests", "rights.consents"),
    *("rights.holds", "rights.policies", "rights.restrictions", "rights.staff", "rights.subscribers"),
    *("timeline.entries", "schedule.jobs"),
}
"""Tables of the compliance part: a search of an empty one says nothing."""


def use_everything(at: Site, markers: Markers) -> Path:
    """Into every path and out of every other; the backup that was made on the way."""
    customers, leads = use_customers(at, markers), use_leads(at, markers)
    tickets, members = use_tickets(at, markers), use_members(at, markers)
    long_one = make_a_long_history(at, markers)
    cared = use_rights(at, markers)
    blunder(at, markers)
    blunder_about_rights(at, markers, cared.kept["subject_id"])
    import_files(at, markers)
    read = {"customers": long_one, "leads": leads[0], "tickets": tickets[0], "members": members[0]}
    wait_until_shown(at, markers)
    read_what_shows(at, markers, cared, read)
    make_a_report(at)
    read_what_does_not(at, cared)
    open_as_a_subscriber(at, markers, cared)
    hand_out(at, cared, long_one["id"])
    fulfil(at, markers, cared.request_id)
    backup = use_the_command_line(at, cared, long_one["id"])
    people = [it["subject_id"] for it in (*customers, *leads, *tickets)]
    erasure = erase_in_every_way(at, markers, cared, people[:-1])
    at.lethe("erase", people[-1], "--reason", markers.word())
    inspect_and_certify(at, erasure)
    search_for_people(at, markers)
    read_what_does_not_any_more(at)
    wait_until_relayed(at, wait_until_shown(at, markers))
    return backup


def wait_until_shown(at: Site, markers: Markers) -> str:
    """The views have everything up to here. A word that was told last, and in public."""
    last = markers.public + "last"
    ticket = {"channel": "email", "impact": "low", "urgency": "low", "product": last}
    done = at.post("/v1/tickets", ticket)
    at.sealed("/v1/retention", at_least=done["position"])
    return last


def read_what_does_not_any_more(at: Site) -> None:
    """What is told of the whole once people are gone."""
    for path in ("/v1/accesses", "/v1/audit/checkpoint", "/v1/audit/bundle", "/metrics"):
        at.sealed(path)


def wait_until_relayed(at: Site, word: str) -> None:
    """Kafka's log has what came last."""
    deadline = time.monotonic() + 90
    while True:
        relayed = Search([word])
        relayed.folder(at.broker.folder / "log")
        if relayed.hits:
            return
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


def sealed_fields(url: str) -> set[tuple[str, str]]:
    """The personal fields that were written, by the event: every one of them with a marker."""
    query = (
        "SELECT DISTINCT topic, name FROM log.events,"
        " jsonb_array_elements(convert_from(state, 'UTF8')::jsonb -> 'sealed') box,"
        " jsonb_array_elements_text(box -> 'fields') name"
    )
    with psycopg.connect(url) as connection:
        return {(topic, name) for topic, name in connection.execute(query)}


@pytest.mark.broker
@pytest.mark.timeout(900)
def test_no_byte_at_rest_shows_a_person(tmp_path: Path, broker: LocalBroker) -> None:
    markers, begun = Markers(), time.monotonic()
    with site(tmp_path, broker, f"n{random.randrange(10**9)}", markers) as at:
        backup = use_everything(at, markers)
        search = at.search
        search.open_files(at.processes())
        tables, written = dict(dump(at.database_url())), sealed_fields(at.database_url())
    for table, text in tables.items():
        search.data(text, table)
    clear = {tmp_path / CALLER / name for name in IMPORTED | EXPORTED}
    search.folder(tmp_path, but=clear)
    search.folder(broker.folder)
    restored = dict(unpacked(backup, tmp_path / "identity"))
    for member, content in restored.items():
        search.data(content, f"{backup.name}!{member}")

    print(
        f"row 25: {markers.made} markers in {len(written)} personal fields; {len(tables)} tables,"
        f" {search.size >> 20} MiB searched: {len(search.hits)} hits; {time.monotonic() - begun:.0f} s"
    )
    assert search.hits == []
    assert {it.name for it in (tmp_path / CALLER).iterdir()} == IMPORTED | EXPORTED | BESIDE
    assert {name for name in FILLED if not tables[name]} == set()
    assert personal_fields() - written == set()
    _the_search_would_have_found_it(at, markers.public, tables, restored)
    _the_markers_were_there(markers, clear)


def personal_fields() -> set[tuple[str, str]]:
    """Every one that an event of this release can have, but the reason, which any of them may have."""
    return {(it.event, it.field) for it in fields() if it.sort is Sort.PERSONAL and it.field != REASON}


def unpacked(backup: Path, identity: Path) -> Iterator[tuple[str, bytes]]:
    """What is in a backup, for whoever has the key to it."""
    with reading(backup, identities_in(identity)) as members:
        yield from members


def _the_search_would_have_found_it(
    at: Site, word: str, tables: dict[str, bytes], restored: dict[str, bytes]
) -> None:
    """The control: a public word went the same ways, and is found at the end of each."""
    control = Search([word])
    control.folder(at.folder)
    control.folder(at.broker.folder)
    found = {hit.place for hit in control.hits}
    for part in ("/pg_wal/", "/base/", str(at.broker.folder), "bundle.zip!leaves.bin"):
        assert any(part in place for place in found), part
    assert {hit.place for hit in at.shadow.hits}, "nothing was seen in temporary files"
    assert {table for table, text in tables.items() if list(search_bytes(text, [word], table))} >= {
        *("log.events", "directory.customers", "rights.holds", "rights.policies", "rights.activities"),
    }
    assert any(list(search_bytes(it, [word], name)) for name, it in restored.items())
    assert not any(place.endswith(".age") for place in found), "the backup is not encrypted"


def _the_markers_were_there(markers: Markers, clear: set[Path]) -> None:
    """In each of the files where they may stand."""
    own = Search(markers.personal)
    for path in clear:
        own.file(path)
    assert {hit.place for hit in own.hits} == {str(path) for path in clear}


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
