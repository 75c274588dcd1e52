"""The contracts over HTTP: the AsyncAPI document and the schema of every event, for anybody to read."""

from typing import Annotated, Final

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field

from infra import json
from infra.http.dependencies import Door
from infra.http.errors import NotFound, documented

SCHEMA: Final = "application/schema+json"
VERSION_MAX: Final = 1_000_000
router = APIRouter(tags=["contracts"])


class SchemaEntry(BaseModel):
    """The schema of one version of an event."""

    type: str = Field(examples=["lead.won"])
    version: int = Field(examples=[1])
    current: bool = Field(description="Whether events are written in this version now.")
    dataschema: str = Field(
        description="What events of this version name.", examples=["urn:lethe:schema:lead.won:1"]
    )
    url: str = Field(examples=["/v1/schemas/lead.won/1"])


class SchemaList(BaseModel):
    """Every version of every event, by type."""

    items: list[SchemaEntry]


@router.get("/asyncapi.json", include_in_schema=False)
async def read_asyncapi(door: Door) -> Response:
    """The AsyncAPI 3.0 document of this system, its topics with its namespace."""
    return Response(json.encode(door.contracts.asyncapi), media_type="application/json")


@router.get("/v1/schemas", responses=documented(503))
async def list_schemas(door: Door) -> SchemaList:
    """The schemas of all events. Anybody may have them."""
    schemas = door.contracts.schemas
    return SchemaList(
        items=[
            SchemaEntry(
                type=type,
                version=version,
                current=(type, version + 1) not in schemas,
                dataschema=schema["$id"],
                url=f"/v1/schemas/{type}/{version}",
            )
            for (type, version), schema in schemas.items()
        ]
    )


@router.get(
    "/v1/schemas/{type}/{version}",
    response_class=Response,
    responses={
        200: {"description": "The schema (JSON Schema 2020-12).", "content": {SCHEMA: {}}},
        **documented(404, 422, 503),
    },
)
async def read_schema(
    door: Door,
    type: Annotated[str, Path(max_length=100, examples=["lead.won"])],
    version: Annotated[int, Path(ge=1, le=VERSION_MAX, examples=[1])],
) -> Response:
    """The schema of one version of an event: its data, as on the feed and in Kafka. Anybody may have it."""
    schema = door.contracts.schemas.get((type, version))
    if schema is None:
        raise NotFound("No event has this type and version.")
    return Response(json.encode(schema), media_type=SCHEMA)
