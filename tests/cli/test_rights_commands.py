"""`lethe retention`, and the register of processing, as their users meet them."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from domain.model import Category
from domain.values import Channel, LawfulBasis, Level, SubjectKind
from services.ports import CommandContext, KeyState
from tests.cli.test_command_line import document, lethe
from tests.e2e.importing import projected, system_on

TERM: dict[str, Any] = {"days": 30, "after": ("ticket.closed",), "legal_reason": "limitation of claims"}


async def test_retention_is_planned_then_applied_and_then_nothing_is_left_to_do(
    database_url: str, tmp_path: Path
) -> None:
    ann = uuid4()
    await closed_ticket(database_url, tmp_path, ann)
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    planned, rehearsed, applied = (
        lethe("retention", *words, "--json", **where)
        for words in (["plan"], ["apply", "--dry-run"], ["apply"])
    )
    due = {"people": 1, "categories": {"conversation": 1}, "kept": {}}
    assert document(planned) == document(rehearsed) == due | {"applied": False}
    assert document(applied) == due | {"applied": True}
    async with system_on(database_url, tmp_path) as system:
        assert (await system.ring.states(ann))[Category.CONVERSATION] is KeyState.ERASED
        await projected(system)
    assert lethe("retention", "apply", **where).stdout == (
        "Of 0 people nothing erased. Past its time and kept: nothing.\n"
    )


async def closed_ticket(database_url: str, tmp_path: Path, subject_id: UUID) -> None:
    """A ticket that was closed 40 days ago, and a policy that keeps its words for 30."""
    async with system_on(database_url, tmp_path) as system:

        def context() -> CommandContext:
            past = system.clock.now() - timedelta(days=40)
            return CommandContext(uuid4(), b"", "tester", past, uuid4())

        id = uuid4()
        await system.tickets.open(
            id=id,
            subject_id=subject_id,
            context=context(),
            channel=Channel.EMAIL,
            impact=Level.LOW,
            urgency=Level.LOW,
            subject="Dark display",
        )
        await system.tickets.close(id=id, context=context())
        talk = Category.CONVERSATION
        await system.retentions.set(kind="ticket", category=talk, context=context(), **TERM)
        await projected(system)


async def test_the_register_is_written_as_a_document_and_for_programs(
    database_url: str, tmp_path: Path
) -> None:
    says: dict[str, Any] = {
        "name": "Newsletter",
        "description": "Monthly news.",
        "lawful_basis": LawfulBasis.CONTRACT,
        "consent_needed": False,
        "categories": (Category.CONTACT,),
        "subject_kinds": (SubjectKind.CUSTOMERS,),
    }
    async with system_on(database_url, tmp_path) as system:
        context = CommandContext(uuid4(), b"", "tester", system.clock.now(), uuid4())
        await system.activities.register(code="news", context=context, **says)
        await projected(system)
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    assert document(lethe("audit", "register", "--json", **where))["activities"][0]["code"] == "news"
    assert "| news | Newsletter: Monthly news. |" in lethe("audit", "register", **where).stdout
    assert lethe("audit", "register", "--form", "html", **where).stdout.startswith("<!doctype html>")


def test_the_inventory_needs_no_database(tmp_path: Path) -> None:
    found = lethe("audit", "fields", "--json", data=tmp_path)
    assert found.returncode == 0
    assert {"field", "sort", "category", "whose"} <= document(found)["fields"][0].keys()
    assert not list(tmp_path.iterdir())
