"""`lethe privacy`: which privacy requests there are, and which are late."""

from typing import Annotated, Any

import typer

from domain.privacyrequest.terms import RequestKind, RequestState
from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, lethe
from projections.privacy import PrivacyRequestFilter, PrivacyRequestRow

PAGE = 500

privacy = typer.Typer(help="Requests by which people exercise their rights.")
lethe.add_typer(privacy, name="privacy")


@command("list", group=privacy)
async def list_requests(
    call: Call,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that are late.")] = False,
    kind: Annotated[RequestKind | None, typer.Option(help="Only those of one kind.")] = None,
    state: Annotated[RequestState | None, typer.Option(help="Only those in one state.")] = None,
) -> Answer:
    """The privacy requests, oldest first: ids, days and states, nothing of what was written."""
    where = PrivacyRequestFilter(kind=kind, state=state, overdue=True if overdue else None)
    async with open_system(call.settings, migrated=False) as system:
        now, after = system.clock.now(), None
        found: list[tuple[PrivacyRequestRow, bool]] = []
        while rows := await system.views.privacy.list_requests(where, at=now, limit=PAGE, after=after):
            found += [(row, row.overdue(now)) for row in rows]
            after = rows[-1].id
    return Answer(
        {"privacy_requests": [_document(*it) for it in found]}, "\n".join(_in_words(*it) for it in found)
    )


def _document(row: PrivacyRequestRow, overdue: bool) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "subject_id": str(row.subject_id),
        "kind": row.kind,
        "state": row.state,
        "received_on": row.received_on.isoformat(),
        "due_on": row.due_on.isoformat(),
        "overdue": overdue,
        "identity_verified": row.identity_proof is not None,
        "erasure_id": None if row.erasure_id is None else str(row.erasure_id),
    }


def _in_words(row: PrivacyRequestRow, overdue: bool) -> str:
    late = ", OVERDUE" if overdue else ""
    return f"{row.id}: {row.kind}, {row.state}, received {row.received_on}, due {row.due_on}{late}"
