"""Data subjects over HTTP: what is held about a person, and erasing them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from domain.model import Category
from infra.http import bodies
from infra.http.auth import Reader
from infra.http.commands import CREATED, CREATING, Erasing, answer
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, NotFound, documented
from infra.http.reading import ReadQuery, wait_for
from infra.http.records import ErasureRecord
from services.ports import KeyState

router = APIRouter(tags=["subjects"])
SubjectId = Annotated[UUID, Path(description="The data subject's id.")]


class SubjectRecordLink(BaseModel):
    """A record that names the subject."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str = Field(examples=["customer"])
    first_position: int = Field(description="Of the first event that names the subject.")


class SubjectRecord(BaseModel):
    """What is held about a person: under which keys, in which records, and what was asked to be erased."""

    id: UUID
    erased: bool
    keys: dict[Category, KeyState] = Field(
        description="The keys that seal the person's data, by category.", examples=[{"identity": "active"}]
    )
    records: list[SubjectRecordLink]
    erasures: list[ErasureRecord]


@router.get("/v1/subjects/{id}", responses=documented(404, *READ_REFUSALS))
async def read_subject(
    id: SubjectId, door: Door, token: Reader, query: Annotated[ReadQuery, Query()]
) -> SubjectRecord:
    """What is held about a person, without any of it: key states, records, erasures. The erased stay here."""
    await wait_for(door, query)
    view = await door.subjects.view(id)
    if view is None:
        raise NotFound
    return SubjectRecord(
        id=id,
        erased=view.erased,
        keys=dict(view.keys),
        records=[SubjectRecordLink.model_validate(record) for record in view.records],
        erasures=[ErasureRecord.of(row) for row in view.erasures],
    )


@router.post(
    "/v1/subjects/{id}/erasure",
    tags=["erasures"],
    status_code=201,
    **CREATING | {"responses": CREATED | documented(404)},
)
async def erase_subject(id: SubjectId, body: bodies.EraseSubject, command: Erasing) -> Response:
    """Erase the person: their keys are destroyed, and with them every copy of what was sealed.

    The answer comes when the keys are gone. A request that a crash interrupts is carried on with; repeat it
    with the same Idempotency-Key to learn the answer.
    """
    erasures = command.door.erasures
    asked = await erasures.request(
        id=uuid7(), erased_subject_id=id, ground=body.ground, context=command.context(body)
    )
    done = await erasures.run(asked.id)
    return answer(done, 201, {"Location": f"/v1/erasures/{asked.id}"}, subject_id=id)


@router.get("/v1/erasures/{id}", tags=["erasures"], responses=documented(404, *READ_REFUSALS))
async def read_erasure(
    id: UUID, door: Door, token: Reader, query: Annotated[ReadQuery, Query()]
) -> ErasureRecord:
    """A request to erase a person: on which ground, and whether it is done."""
    await wait_for(door, query)
    row = await door.views.directory.erasure(id)
    if row is None:
        raise NotFound
    return ErasureRecord.of(row)
