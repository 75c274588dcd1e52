"""`lethe deadletters` as an operator uses it."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from services.ports import CommandContext
from tests.cli.test_command_line import document, lethe
from tests.e2e.importing import projected, system_on


async def a_parked_lead(database_url: str, folder: Path) -> UUID:
    """A lead that is parked from the pipeline, at an event that can be digested by now."""
    command_id, id = uuid7(), uuid7()
    async with system_on(database_url, folder) as system:
        context = CommandContext(
            command_id=command_id,
            request_digest=b"",
            actor="test",
            occurred_at=system.clock.now(),
            correlation_id=command_id,
        )
        await system.leads.capture(id=id, subject_id=uuid7(), source="web", context=context)
        await projected(system)
        async with system.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO views.dead_letters "
                "(view, originator_id, version, position, topic, error, place) "
                "VALUES ('pipeline', %s, 1, 1, 'lead.captured', 'KeyError', 'projections/pipeline.py:1')",
                [id],
            )
    return id


def test_a_parked_record_is_listed_skipped_and_shown(database_url: str, tmp_path: Path) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    id = asyncio.run(a_parked_lead(database_url, tmp_path))
    [letter] = document(lethe("deadletters", "list", "--json", **where))["dead_letters"]
    assert (letter["record_id"], letter["error"], letter["held_back"]) == (str(id), "KeyError", 0)
    done = lethe(
        "deadletters", "skip", "pipeline", str(id), "--version", "1", "--reason", "CHG-1042", **where
    )
    assert (done.returncode, done.stdout) == (0, "1 tried, 1 of them wait no more\n")
    assert "skipped" in lethe("deadletters", "show", str(id), **where).stdout
