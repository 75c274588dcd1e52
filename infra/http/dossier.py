"""Everything that is held about a person, as one document that is sent while it is gathered."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from uuid_utils.compat import uuid7

from domain.model import Category
from domain.values import ExportFormat
from infra import json
from infra.dossier.gathering import Asked, Form, open_dossier
from infra.dossier.handing import MEDIA, Handing
from infra.dossier.schema import SCHEMA
from infra.http.auth import Comply, Reader
from infra.http.errors import READ_REFUSALS, documented
from infra.http.exports import context_of
from infra.http.reading import DECLARED, ReadQuery, reading_of, wait_for
from services.ports import Ground

router = APIRouter(tags=["subjects"])


class Format(StrEnum):
    """For programs, or for people."""

    JSON = "json"
    HTML = "html"


CLOSED: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
"""The document is for one reader, loads nothing and runs nothing."""


class DossierQuery(ReadQuery):
    format: Format = Format.JSON
    form: Form = Field(
        Form.ACCESS,
        description="GDPR, article 15: everything; or article 20: what the person provided.",
    )
    request_id: UUID | None = Field(
        None, description="The privacy request it answers: the dossier is linked to it once it is sent."
    )


SENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The dossier; one that breaks off lacks its `end`.",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/html": {}},
    },
    **documented(404, 409, *READ_REFUSALS),
}


@router.get(
    "/v1/subjects/{id}/dossier",
    responses=SENT,
    response_class=StreamingResponse,
    response_model=None,
    openapi_extra=DECLARED,
)
async def read_dossier(
    id: Annotated[UUID, Path(description="The data subject's id.")],
    token: Comply,
    query: Annotated[DossierQuery, Query()],
    request: Request,
) -> Response:
    """Everything that is held about a person: values, history, purposes, recipients, retention, accesses.

    Its JSON Schema is at `/v1/schemas/dossier.json`. A restriction of processing does not stop it.
    """
    reading = reading_of(request, token)
    door = reading.door
    await wait_for(door, query)
    asked = Asked(id=uuid7(), subject_id=id, form=query.form, request_id=query.request_id)
    dossier = await open_dossier(door.dossiers, asked)
    by_right = replace(reading.declared, ground=reading.declared.ground or Ground.SUBJECT_RIGHTS)
    reading = replace(reading, declared=by_right)
    handing = Handing(
        dossier,
        ExportFormat(query.format),
        exports=door.exports,
        requests=door.privacy_requests,
        context_of=lambda: context_of(reading),
    )
    await handing.begin()
    await reading.note([id], list(Category), count=len(dossier.records), export_id=asked.id)
    headers = {
        **CLOSED,
        "Content-Disposition": f'attachment; filename="dossier-{asked.id}.{query.format}"',
        "Lethe-Export": str(asked.id),
        "Link": f'</v1/exports/{asked.id}/manifest>; rel="describedby"',
    }
    return StreamingResponse(handing.parts(), headers=headers, media_type=MEDIA[ExportFormat(query.format)])


@router.get("/v1/schemas/dossier.json", responses=documented(*READ_REFUSALS), response_class=Response)
async def read_dossier_schema(token: Reader) -> Response:
    """The JSON Schema of the dossier."""
    return Response(json.encode(SCHEMA), media_type="application/schema+json")
