"""`lethe erase`: a person, or some of what is held of theirs; `lethe ledger`: the list of who was."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from uuid_utils.compat import uuid7

from domain.model import Category
from domain.values import ErasureGround
from infra.bootstrap import CannotStart, open_database, open_system
from infra.cli.command import Answer, Call, command, lethe, progress_of
from infra.cli.commanding import context_of
from infra.clock import SystemClock
from infra.eventstore.mapper import EventMapper
from infra.ledger import LedgerUnfit, verify
from infra.ledgerguard import described
from infra.ledgerkeeping import rebuild_ledger
from infra.postgres.database import open_pool
from services.erasures import WhenHeld
from services.ports import Unavailable

ledger = typer.Typer(help="The erasure ledger: a file outside the database, that no old copy of it can undo.")
lethe.add_typer(ledger, name="ledger")


@command("erase")
async def erase(
    call: Call,
    subject: Annotated[UUID, typer.Argument(help="The data subject's id.")],
    ground: Annotated[
        ErasureGround, typer.Option(help="GDPR, article 17(1); the default is the controller's own finding.")
    ] = ErasureGround.NO_LONGER_NECESSARY,
    category: Annotated[
        list[Category] | None, typer.Option(help="Only this; may be given several times. Absent: everything.")
    ] = None,
    when_held: Annotated[
        WhenHeld, typer.Option(help="Under a legal hold: refuse, or wait until it is lifted.")
    ] = WhenHeld.REFUSE,
    reason: Annotated[str | None, typer.Option(help="Kept sealed beside the request.")] = None,
) -> Answer:
    """Erase a person: their keys are destroyed, and with them everything sealed, for good."""
    async with open_system(call.settings, migrated=False) as system:
        erasure_id = uuid7()
        erasing = await system.erasures.erase(
            id=erasure_id,
            erased_subject_id=subject,
            ground=ground,
            context=context_of(system.clock, reason),
            categories=category or (),
            when_held=when_held,
        )
    document = {
        "id": str(erasure_id),
        "subject_id": str(subject),
        "erased": not erasing.held,
        "held": erasing.held,
        "categories": sorted(category or ()),
        "position": erasing.outcome.position,
    }
    return Answer(document, _in_words(subject, erasure_id, category or [], held=erasing.held))


def _in_words(subject: UUID, erasure_id: UUID, categories: list[Category], *, held: bool) -> str:
    what = f"{subject}" if not categories else f"{', '.join(sorted(categories))} of {subject}"
    if held:
        return f"A legal hold names {subject}: erasure {erasure_id} waits until it is lifted."
    return f"{what} is erased (erasure {erasure_id})."


@command("check", group=ledger)
async def check(call: Call) -> Answer:
    """Check every line's hash, and compare the whole ledger with the log and the key store."""
    path = call.settings.ledger_path
    if not path.exists():
        raise CannotStart(f"there is no erasure ledger {path}")
    verdict = await asyncio.to_thread(verify, path)
    if verdict.fault is not None:
        return Answer(
            {"well": False, "fault": verdict.fault, "lines": verdict.lines}, verdict.fault, well=False
        )
    async with open_system(call.settings, migrated=False, behind=True) as system:
        compared = await system.guard.look(everything=True)
        fault = system.guard.fault
    document = {"well": fault is None, "fault": fault, "head": verdict.head, **described(compared)}
    words = fault or f"{verdict.lines - 1} entries, all of them carried out; the last hash is {verdict.head}"
    return Answer(document, words, well=fault is None)


@command("apply", group=ledger)
async def apply(call: Call) -> Answer:
    """Carry out again the erasures that the ledger knows and this database does not."""
    async with open_system(call.settings, migrated=False, behind=True) as system:
        with progress_of("erasures", 1) as progress:
            applied = await system.guard.apply(
                lambda done, total: progress(done), everything=True, starting=True
            )
        fault = system.guard.fault
    words = fault or (f"{applied} erasures applied again." if applied else "There was nothing to apply.")
    return Answer({"applied": applied, "fault": fault}, words, well=fault is None)


@command("rebuild", group=ledger)
async def rebuild(call: Call) -> Answer:
    """Make a new ledger from the erasures that the log knows, where the old one is lost or broken for good.

    An erasure that only the lost ledger knew of stays unknown: look for a copy of it first.
    """
    settings = call.settings
    async with open_database(settings, migrated=False) as database:
        pool = await open_pool(database.url, size=2)
        try:
            entries = await rebuild_ledger(
                pool,
                settings.ledger_path,
                namespace=settings.namespace,
                mapper=EventMapper(settings.namespace),
                clock=SystemClock(),
            )
        except LedgerUnfit as error:
            raise CannotStart(str(error)) from None
        finally:
            await pool.close()
    words = f"The ledger {settings.ledger_path} has the {entries} erasures that the log knows of."
    return Answer({"entries": entries, "path": str(settings.ledger_path)}, words)


@command("certificate")
async def certificate(
    call: Call,
    erasure: Annotated[UUID, typer.Argument(help="The erasure's id.")],
    out: Annotated[Path | None, typer.Option(help="File to write it to; absent: it is shown.")] = None,
) -> Answer:
    """The certificate of an erasure: what was done in each store, and what is not covered; signed.

    It is verified offline: `python verifier.py FILE --vkey VKEY`.
    """
    async with open_system(call.settings, migrated=False) as system:
        note = await system.certificates.issue(erasure)
    if note is None:
        raise Unavailable("the audit tree has not come to this erasure yet: is `lethe up` running?")
    if out is None:
        return Answer({"certificate": note}, note.rstrip("\n"))
    try:
        await asyncio.to_thread(out.write_text, note)
    except OSError as error:
        raise CannotStart(f"{out}: {error.strerror}") from None
    return Answer({"certificate": note, "file": str(out)}, f"{out}")
