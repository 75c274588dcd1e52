"""`lethe schedule` and `lethe privacy` as an operator and a privacy officer use them."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from domain.privacyrequest.terms import RequestKind
from domain.values import Channel
from services.ports import CommandContext
from tests.cli.test_command_line import document, lethe
from tests.e2e.importing import projected, system_on


async def received_long_ago(database_url: str, folder: Path) -> UUID:
    """A request that is late by now, in a view that shows it."""
    command_id, id = uuid7(), uuid7()
    async with system_on(database_url, folder) as system:
        context = CommandContext(
            command_id=command_id,
            request_digest=b"",
            actor="test",
            occurred_at=datetime.now(UTC),
            correlation_id=command_id,
        )
        await system.privacy_requests.receive(
            id=id,
            subject_id=uuid7(),
            known=False,
            kind=RequestKind.ACCESS,
            channel=Channel.EMAIL,
            received_on=date(2020, 1, 31),
            text="Please, Maya.",
            context=context,
        )
        await projected(system)
    return id


def test_a_late_request_is_listed_counted_and_reminded_of(database_url: str, tmp_path: Path) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    id = asyncio.run(received_long_ago(database_url, tmp_path))
    listed = lethe("privacy", "list", "--overdue", "--json", **where)
    [request] = document(listed)["privacy_requests"]
    assert (request["id"], request["due_on"], request["overdue"]) == (str(id), "2020-03-02", True)
    assert "Maya" not in listed.stdout
    assert (
        f"{id}: access, open, received 2020-01-31, due 2020-03-02, OVERDUE"
        in lethe("privacy", "list", **where).stdout
    )
    assert document(lethe("privacy", "list", "--kind", "erasure", "--json", **where)) == {
        "privacy_requests": []
    }
    assert document(lethe("status", "--json", **where))["privacy_requests"] == {"open": 1, "overdue": 1}

    done = lethe("schedule", "run", "privacy-requests", "--json", **where)
    assert (done.returncode, document(done)["state"]) == (0, "done")
    assert document(done)["outcome"].startswith("1 reminded")
    shown = document(lethe("schedule", "status", "--json", **where))["jobs"]
    assert [it["state"] for it in shown if it["name"] == "privacy-requests"] == ["done"]
    assert "privacy-requests: done" in lethe("schedule", "status", **where).stdout


def test_the_schedule_is_used_wrongly_in_one_line(database_url: str, tmp_path: Path) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    for arguments, words in (
        (["run"], "a job is named"),
        (["status", "privacy-requests"], "a job is named"),
        (["run", "nothing"], "no job 'nothing'"),
    ):
        refused = lethe("schedule", *arguments, **where)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr
        assert refused.stderr.count("\n") == 1
