"""What an auditor takes away: bundles of the log with its proofs, and the program that verifies them."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.responses import FileResponse

from infra.audit import verifier
from infra.audit.bundling import Range
from infra.http.auth import Reader
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, documented
from infra.http.reading import POSITION_MAX
from infra.http.reading import Query as Parameters

ZIP: Final = "application/zip"
PYTHON: Final = "text/x-python"
router = APIRouter(prefix="/v1/audit", tags=["audit"])


class BundleQuery(Parameters):
    start: int = Field(
        0, alias="from", ge=0, le=POSITION_MAX, description="The index of the first leaf.", examples=[0]
    )
    end: int | None = Field(
        None,
        alias="to",
        ge=0,
        le=POSITION_MAX,
        description="The index after the last leaf; absent: all that is signed.",
        examples=[None],
    )
    record: UUID | None = Field(
        None, description="This record's events only, each with its proof.", examples=[None]
    )


@router.get(
    "/bundle",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The bundle: a ZIP.", "content": {ZIP: {}}},
        **documented(404, 422, *READ_REFUSALS),
    },
)
async def read_bundle(door: Door, token: Reader, query: Annotated[BundleQuery, Query()]) -> StreamingResponse:
    """The log, or a range or a record of it, with all that proves it: for `verifier.py`, offline.

    Events leave as they are stored, what is sealed sealed. 503 with `Retry-After` until something is signed.
    """
    if query.record is not None:
        pieces = await door.bundles.of_record(query.record)
    else:
        pieces = await door.bundles.of_range(Range(query.start, query.end))
    headers = {"Content-Disposition": 'attachment; filename="bundle.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type=ZIP, headers=headers)


@router.get(
    "/verifier.py",
    response_class=FileResponse,
    responses={200: {"description": "The program.", "content": {PYTHON: {}}}},
)
async def read_verifier() -> FileResponse:
    """The offline verifier: one file for Python 3.9 or later. Anybody may have it."""
    return FileResponse(Path(verifier.__file__), media_type=PYTHON, filename="verifier.py")
