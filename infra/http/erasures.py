"""Erasures over HTTP: asking for one, seeing how far it has come, and acknowledging it."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response
from uuid_utils.compat import uuid7

from infra.access import Scope
from infra.http import bodies
from infra.http.auth import Comply, Reader
from infra.http.commands import (
    APPLIED,
    CHANGE_HEADERS,
    CREATED,
    CREATING,
    Acknowledging,
    Command,
    Erasing,
    RecordId,
    answer,
)
from infra.http.dependencies import Door
from infra.http.errors import (
    COMMAND_REFUSALS,
    READ_REFUSALS,
    Malformed,
    NotFound,
    NotYetVisible,
    documented,
)
from infra.http.reading import ReadQuery, wait_for
from infra.http.records import ErasureRecord
from services.subscribers import NotASubscriber

NOTE: Final = "text/plain; charset=utf-8"
router = APIRouter(tags=["erasures"])
QUEUED: Final[dict[int | str, dict[str, Any]]] = {
    202: CREATED[201] | {"description": "Recorded, and held: carried out once the legal hold is lifted."}
}


@router.post(
    "/v1/subjects/{id}/erasure",
    status_code=201,
    **CREATING | {"responses": CREATED | QUEUED | documented(404)},
)
async def erase_subject(id: UUID, body: bodies.EraseSubject, command: Erasing) -> Response:
    """Erase the person, or some categories of what is held: the keys are destroyed, and so every copy is.

    The answer comes when the keys are gone: 201; or 202 for one that waits until a legal hold is lifted. A
    request that a crash interrupts is carried on with; repeat it with the same Idempotency-Key to learn the
    answer.
    """
    erasing = await command.door.erasures.erase(
        id=uuid7(), erased_subject_id=id, context=command.context(body), **body.fields()
    )
    outcome = erasing.outcome
    place = {"Location": f"/v1/erasures/{outcome.id}"}
    return answer(outcome, 202 if erasing.held else 201, place, subject_id=id)


@router.get("/v1/erasures/{id}", responses=documented(404, *READ_REFUSALS))
async def read_erasure(
    id: UUID, door: Door, token: Reader, query: Annotated[ReadQuery, Query()]
) -> ErasureRecord:
    """A request to erase a person: on which ground, what of theirs, and how far it has come."""
    await wait_for(door, query)
    row = await door.views.directory.erasure(id)
    if row is None:
        raise NotFound
    return ErasureRecord.of(row)


@router.get(
    "/v1/erasures/{id}/certificate",
    response_class=Response,
    responses={
        200: {
            "description": "A signed note (C2SP): `lethe/certificate/1`, and JSON that says it all.",
            "content": {NOTE: {"schema": {"type": "string"}}},
        },
        **documented(401, 403, 404, 409, 422, 503),
    },
)
async def read_certificate(id: UUID, door: Door, token: Comply) -> Response:
    """The certificate: what was done in each store, when, what is not covered; signed, to verify offline.

    409 while the erasure is not carried out. Later ones say more: who acknowledged, and the seal.
    """
    note = await door.certificates.issue(id)
    if note is None:
        raise NotYetVisible
    return Response(note, media_type=NOTE)


@router.post(
    "/v1/erasures/{id}/acknowledge",
    operation_id="erasures_acknowledge",
    responses={200: APPLIED, **documented(*COMMAND_REFUSALS)},
    response_class=Response,
    response_model=None,
    openapi_extra=CHANGE_HEADERS,
)
async def acknowledge_erasure(
    id: RecordId, body: bodies.AcknowledgeErasure, command: Acknowledging
) -> Response:
    """Say, as a subscriber of the stream, that you have erased your own copies of the person's data.

    It stands on the certificate, under the subscriber's name; until then it is named there as missing.
    """
    named = body.model_copy(update={"subscriber": await _subscriber(body, command)})
    return await command.change(command.door.erasures.acknowledge, named, id)


async def _subscriber(body: bodies.AcknowledgeErasure, command: Command) -> str:
    """The subscriber's own name, whose token it is; else the one that is written down for another."""
    own = await command.door.subscribers.name_of(command.token.actor_id)
    if own is None and Scope.WRITE not in command.token.scopes:
        raise NotASubscriber(command.token.actor_id)
    name = body.subscriber or own
    if name is None:
        raise Malformed("Say which system it is.", field="subscriber", rule="missing")
    if own is not None and name != own:
        raise Malformed("A subscriber speaks for itself.", field="subscriber", rule="own_name")
    return name
