"""One person's story with a company, from the first message to a restored backup: each promise at its point.

Maya Brandt writes in, becomes a customer, complains, has a date corrected, withdraws her consent, asks what
is held, and asks to be erased while a lawsuit holds her file. The hold is lifted, the key epoch turns, and a
backup from before all that is restored on another machine.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests import commandline
from tests.running import Lethe

MAYA = "Maya Brandt"
SECRETS = (MAYA, "maya@example.com", "The display stays dark", "Kastanienweg")
WAIT_SECONDS_MAX = 20.0
Telling = Callable[..., dict[str, Any]]


class Company:
    """A company that runs Lethe: what its people do, by HTTP and by the command line."""

    def __init__(self, lethe: Lethe) -> None:
        self.lethe = lethe
        self.http = httpx.Client(base_url=lethe.url, headers=lethe.headers, timeout=30)
        self.position = 0

    def does(
        self, path: str, /, *, status: int = 200, headers: dict[str, str] | None = None, **body: Any
    ) -> Any:
        """A command; every later read sees it."""
        answer = self.http.post(f"/v1/{path}", json=body, headers=headers)
        assert answer.status_code == status, f"{path}: {answer.text}"
        document = answer.json()
        self.position = max(self.position, document.get("position", 0))
        return document

    def sees(
        self, path: str, /, *, status: int = 200, headers: dict[str, str] | None = None, **query: Any
    ) -> Any:
        """A read, once the views show all that was done."""
        waited = self.http.get("/v1/customers", params={"limit": 1, "at_least": self.position})
        assert waited.status_code == 200, waited.text
        answer = self.http.get(f"/v1/{path}", params=query, headers=headers)
        assert answer.status_code == status, f"{path}: {answer.text}"
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    def comes_to(self, path: str, true: Callable[[Any], bool], **query: Any) -> Any:
        """What a read shows in the end."""
        until = time.monotonic() + WAIT_SECONDS_MAX
        while not true(shown := self.sees(path, **query)):
            assert time.monotonic() < until, f"{path} is still {shown}"
            time.sleep(0.1)
        return shown

    def runs(self, *arguments: str, **settings: str) -> Any:
        """A command line, beside the server."""
        given = {f"LETHE_{name.upper()}": value for name, value in settings.items()}
        return run(self.lethe.settings | given, *arguments)


def run(settings: Mapping[str, str], *arguments: str, well: bool = True) -> Any:
    """What a command line answers, in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    given = {name: value for name, value in settings.items() if value and name != "LETHE_ADMIN_TOKEN"}
    done = commandline.run([*arguments, "--json"], plain | given, timeout=180)
    assert (done.returncode == 0) is well, f"lethe {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    with Lethe(tmp_path / "here", checkpoint_seconds="1") as lethe:
        lethe.folder.mkdir()
        lethe.start()
        yield Company(lethe)


def test_a_person_and_all_that_was_promised_to_her(company: Company, tmp_path: Path) -> None:
    story = Story(company, tmp_path)
    story.she_writes_in_and_becomes_a_customer()
    story.she_complains()
    story.a_date_is_corrected()
    story.a_backup_is_made()
    story.she_withdraws_her_consent()
    story.she_asks_what_is_held()
    story.she_asks_to_be_erased_under_a_legal_hold()
    story.the_hold_is_lifted()
    story.last_months_backup_is_restored()
    story.the_key_epoch_turns()
    story.last_months_backup_opens_nothing_any_more()
    story.an_auditor_checks_without_us()


class Story:
    """The chapters, in order; each leaves what the next begins with."""

    def __init__(self, company: Company, folder: Path) -> None:
        self.company = company
        self.folder = folder
        self.subject = ""
        self.customer = ""
        self.ticket = ""
        self.erasure = ""
        self.lead = ""

    def she_writes_in_and_becomes_a_customer(self) -> None:
        company = self.company
        marketing: dict[str, Any] = {
            "code": "newsletter",
            "name": "Newsletter",
            "description": "News about displays, by mail.",
            "lawful_basis": "consent",
            "consent_needed": True,
            "categories": ["identity", "contact"],
            "subject_kinds": ["customers"],
            "recipients": ["the mailing house"],
            "retention": "until the consent is withdrawn",
            "security": "sealed at rest",
        }
        company.does("activities", status=201, **marketing)
        lead = company.does(
            "leads", status=201, source="web", name=MAYA, email="maya@example.com", note="Wants a display."
        )
        self.lead, self.subject = lead["id"], lead["subject_id"]
        company.does(f"leads/{self.lead}/qualify", value={"amount": "1200.00", "currency": "EUR"})
        company.does(
            f"leads/{self.lead}/win", value={"amount": "1150.00", "currency": "EUR"}, reason="She signed."
        )
        won = company.comes_to(f"leads/{self.lead}", lambda it: it["customer_id"] is not None)
        self.customer = won["customer_id"]
        customer = company.comes_to(f"customers/{self.customer}", lambda it: it["name"] == MAYA)
        assert customer["subject_id"] == self.subject, "a lead that becomes a customer keeps its data subject"
        company.does(
            f"subjects/{self.subject}/consents",
            status=201,
            purpose="newsletter",
            channel="email",
            wording_version="2026-02",
            source="web form",
            evidence="Ticked the box on the order form.",
        )
        assert self._newsletter_allowed()

    def she_complains(self) -> None:
        opened = self.company.does(
            "tickets",
            status=201,
            channel="email",
            impact="high",
            urgency="high",
            subject="The display stays dark",
            description="Since Monday, says Maya.",
            customer_id=self.customer,
        )
        self.ticket = opened["id"]
        self.company.does(
            f"tickets/{self.ticket}/send-reply", channel="email", text="We are looking into it, Maya."
        )
        entry = self.company.sees(f"tickets/{self.ticket}/timeline")["items"][-1]
        assert entry["type"] == "ticket.reply_sent"
        assert entry["personal"]["text"] == "We are looking into it, Maya."

    def a_date_is_corrected(self) -> None:
        """She moved last week, and tells us today: what was true changes, what we knew does not."""
        before = datetime.now(UTC)
        moved = before - timedelta(days=7)
        self.company.does(
            f"customers/{self.customer}/change-address",
            address="Kastanienweg 3\n04105 Leipzig",
            occurred_at=moved.isoformat(),
            reason="She moved a week ago, and wrote today.",
        )
        record = f"customers/{self.customer}"
        [entry] = [
            it
            for it in self.company.sees(f"{record}/timeline")["items"]
            if it["type"] == "customer.address_changed"
        ]
        assert entry["occurred_at"] < entry["recorded_at"]
        assert [(it["field"], it["from"]) for it in entry["changes"]] == [("address", None)]
        then = self.company.sees(record, known_at=before.isoformat())
        assert (then["address"], then["name"]) == (None, MAYA)
        assert "Kastanienweg" in self.company.sees(record)["address"]
        self.before_the_move = before

    def a_backup_is_made(self) -> None:
        on: dict[str, Any] = {"lawful_basis": "contract", "purpose": "orders", "source": "web"}
        self.jonas = self.company.does("customers", status=201, kind="person", name="Jonas Okafor", **on)[
            "id"
        ]
        self.identity = self.folder / "identity"
        recipient = self.company.runs("backup", "keygen", str(self.identity))["recipient"]
        self.backup = self.folder / "last-month.lethe"
        self.company.runs("backup", "make", str(self.backup), backup_recipient=recipient)
        self.old_kek = (self.company.lethe.folder / "data" / "kek").read_bytes()
        whole = self.backup.read_bytes()
        assert not any(word.encode() in whole for word in SECRETS)
        self.earlier = self.folder / "checkpoint-kept-by-the-auditor"
        self.earlier.write_text(self.company.sees("audit/checkpoint"))

    def she_withdraws_her_consent(self) -> None:
        [consent] = self.company.sees("consents", subject_id=self.subject)["items"]
        self.company.does(f"consents/{consent['id']}/withdraw", reason="She unsubscribed.")
        assert not self._newsletter_allowed(), "a withdrawal counts with the next question"
        refused = self.company.does(
            f"customers/{self.customer}/write-note",
            status=409,
            headers={"Lethe-Purpose": "newsletter"},
            text="Sent the spring issue.",
        )
        assert refused["type"].endswith("no-lawful-basis")

    def she_asks_what_is_held(self) -> None:
        company = self.company
        request = company.does(
            "privacy-requests", status=201, kind="access", channel="email", subject_id=self.subject
        )
        company.does(f"privacy-requests/{request['id']}/verify-identity", proof="called_back")
        dossier = company.sees(f"subjects/{self.subject}/dossier", request_id=request["id"])
        held = json.dumps(dossier, ensure_ascii=False)
        assert all(word in held for word in SECRETS), "everything about her is in it"
        assert {self.customer, self.lead, self.ticket} <= {it["id"] for it in dossier["records"]}
        assert "newsletter" in held
        company.does(f"privacy-requests/{request['id']}/fulfil")
        answered = company.sees(f"privacy-requests/{request['id']}")
        assert answered["state"] == "fulfilled"
        looked = company.comes_to(
            f"subjects/{self.subject}/accesses",
            lambda it: any("dossier" in seen["operation"] for seen in it["items"]),
        )
        assert {it["actor"] for it in looked["items"]}, "she is told who looked at her"

    def she_asks_to_be_erased_under_a_legal_hold(self) -> None:
        company = self.company
        hold = company.does("holds", status=201, matter="brandt-v-displays", subject_ids=[self.subject])
        self.hold = hold["id"]
        refused = company.does(f"subjects/{self.subject}/erasure", status=409, ground="consent_withdrawn")
        assert refused["type"].endswith("subject-is-held")
        queued = company.does(
            f"subjects/{self.subject}/erasure", status=202, ground="consent_withdrawn", when_held="queue"
        )
        self.erasure = queued["id"]
        assert company.sees(f"erasures/{self.erasure}")["erased_at"] is None
        assert company.sees(f"customers/{self.customer}")["name"] == MAYA, "while it is held, nothing goes"

    def the_hold_is_lifted(self) -> None:
        company = self.company
        company.does(f"holds/{self.hold}/lift", reason="Settled.")
        company.comes_to(f"erasures/{self.erasure}", lambda it: it["erased_at"] is not None)
        gone = company.sees(f"customers/{self.customer}", status=410)
        assert gone["status"] == 410
        entries = company.sees(f"subjects/{self.subject}/timeline", limit=200)["items"]
        told = json.dumps(entries, ensure_ascii=False)
        assert not any(word in told for word in SECRETS)
        assert "erased" in told
        assert {"lead.captured", "lead.won", "customer.registered", "ticket.opened"} <= {
            it["type"] for it in entries
        }
        [certificate] = [company.sees(f"erasures/{self.erasure}/certificate")]
        assert "lethe/certificate/1" in certificate
        assert not any(word in certificate for word in SECRETS)

    def the_key_epoch_turns(self) -> None:
        company = self.company
        company.runs("keys", "rotate")
        sealed = company.comes_to(f"erasures/{self.erasure}", lambda it: it["sealed_at"] is not None)
        assert sealed["sealed_epoch"] == 2, "the epoch that began when the old key ended"
        kek = (company.lethe.folder / "data" / "kek").read_bytes()
        assert self.old_kek.strip() not in kek, "the old key-encryption key is gone"
        assert company.sees(f"customers/{self.jonas}")["name"] == "Jonas Okafor", "the others live on"
        self.certificate = self.folder / "certificate.note"
        self.certificate.write_text(company.sees(f"erasures/{self.erasure}/certificate"))

    def last_months_backup_is_restored(self) -> None:
        """On another machine, with the KEK and the ledger, which lie outside of backups."""
        with Lethe(self.folder / "there") as there:
            restored = self._restore(there)
            there.start()
            away = Company(there)
            assert away.sees(f"customers/{self.customer}", status=410)["status"] == 410, restored
            told = json.dumps(away.sees(f"subjects/{self.subject}/timeline", limit=200), ensure_ascii=False)
            assert not any(word in told for word in SECRETS)
            assert "lead.captured" in told
            again = away.sees(f"erasures/{self.erasure}")
            assert again["erased_at"] is not None, "the ledger's erasure is in the restored log"
            assert away.sees(f"customers/{self.jonas}")["name"] == "Jonas Okafor", "the others live on"

    def last_months_backup_opens_nothing_any_more(self) -> None:
        with Lethe(self.folder / "later") as later:
            refused = self._restore(later, well=False)
            assert "is wrapped under" in refused["error"]["detail"]

    def _restore(self, there: Lethe, *, well: bool = True) -> Any:
        here, data = self.company.lethe.folder / "data", there.folder / "data"
        (data / "ledger").mkdir(parents=True)
        for name in ("kek", "ledger/erasures.jsonl"):
            (data / name).write_bytes((here / name).read_bytes())
            (data / name).chmod(0o600)
        arguments = ("restore", str(self.backup), "--identity", str(self.identity))
        return run(there.settings, *arguments, well=well)

    def an_auditor_checks_without_us(self) -> None:
        """On a machine of the auditor's own: one file, plain Python, no key."""
        company = self.company
        desk = self.folder / "desk"
        desk.mkdir()
        (desk / "verifier.py").write_text(company.sees("audit/verifier.py"))
        [vkey] = [it["vkey"] for it in company.sees("audit/key")["logs"] if it["log"] == "log"]
        company.runs("audit", "export", "--out", str(desk / "bundle.zip"))
        verdict = self._verified(desk, "bundle.zip", "--vkey", vkey, "--earlier", str(self.earlier))
        assert self.subject in json.dumps(verdict["erasures"])
        (desk / "certificate.note").write_bytes(self.certificate.read_bytes())
        self._verified(desk, "certificate.note", "--vkey", vkey)
        forged = self.certificate.read_text().replace(self.subject, str(uuid4()))
        (desk / "certificate.note").write_text(forged)
        self._verified(desk, "certificate.note", "--vkey", vkey, well=False)

    def _verified(self, desk: Path, *arguments: str, well: bool = True) -> Any:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "verifier.py", *arguments, "--json"],
            cwd=desk,
            env={},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) is well, done.stdout + done.stderr
        return json.loads(done.stdout)

    def _newsletter_allowed(self) -> bool:
        answer = self.company.does(
            "lawfulness", subject_ids=[self.subject], purpose="newsletter", channel="email"
        )
        return bool(answer["items"][0]["allowed"])
