"""`lethe subject export`: a person's dossier in a file."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.values import EmailAddress
from infra.accesslog import AccessFilter
from services.ports import CommandContext
from tests.cli.test_command_line import document, lethe
from tests.e2e.importing import projected, system_on

SUBJECT = UUID(int=77)


async def captured(database_url: str, folder: Path, *, shown: bool = True) -> None:
    """A lead of the person, in views that show it."""
    command_id = uuid7()
    async with system_on(database_url, folder) as system:
        context = CommandContext(
            command_id=command_id,
            request_digest=b"",
            actor="test",
            occurred_at=system.clock.now(),
            correlation_id=command_id,
        )
        await system.leads.capture(
            id=uuid7(),
            subject_id=SUBJECT,
            source="fair",
            name="Maya Brandt",
            email=EmailAddress("maya@example.com"),
            context=context,
        )
        if shown:
            await projected(system)


async def accesses(database_url: str, folder: Path) -> list[str]:
    async with system_on(database_url, folder) as system:
        kept = await system.accesses.store.find(AccessFilter(subject_id=SUBJECT), limit=9)
    return [it.access.operation for it in kept]


@pytest.mark.parametrize(("format", "words"), [("json", '"name":"Maya Brandt"'), ("html", "Maya Brandt")])
def test_a_person_is_written_down_in_a_file_of_their_own(
    database_url: str, tmp_path: Path, format: str, words: str
) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    asyncio.run(captured(database_url, tmp_path))
    out = tmp_path / f"dossier.{format}"
    made = lethe("subject", "export", str(SUBJECT), "--format", format, "--out", str(out), "--json", **where)
    assert made.returncode == 0, made.stderr
    assert "Maya" not in made.stdout + made.stderr
    assert document(made)["bytes"] == out.stat().st_size
    assert words in out.read_text()
    assert out.stat().st_mode & 0o777 == 0o600
    assert [it.name for it in tmp_path.iterdir() if "dossier" in it.name] == [out.name]
    assert asyncio.run(accesses(database_url, tmp_path)) == ["subject_export"]
    if format == "json":
        assert json.loads(out.read_text())["end"] == {"records": 1, "events": 1}


def test_what_the_views_do_not_show_yet_is_waited_for_and_then_refused(
    database_url: str, tmp_path: Path
) -> None:
    asyncio.run(captured(database_url, tmp_path, shown=False))
    out = tmp_path / "dossier.json"
    refused = lethe(
        "subject", "export", str(SUBJECT), "--out", str(out), database_url=database_url, data=tmp_path
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "views are behind" in refused.stderr
    assert not out.exists()


def test_of_a_person_nobody_knows_nothing_is_written(database_url: str, tmp_path: Path) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    out = tmp_path / "dossier.json"
    refused = lethe("subject", "export", str(SUBJECT), "--out", str(out), **where)
    assert (refused.returncode, out.exists()) == (1, False)
    wrong = lethe("subject", "export", str(SUBJECT), "--out", str(tmp_path / "no" / "dossier.json"), **where)
    assert wrong.returncode == 2
    assert "there is no folder" in wrong.stderr
