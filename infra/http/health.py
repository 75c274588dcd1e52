"""Whether the process lives, whether it can serve, and its figures: for probes and for Prometheus."""

from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from infra import json
from infra.http.dependencies import Door

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str = Field(examples=["alive"])


class Readiness(BaseModel):
    """What was checked: null for well, else what is wrong."""

    ready: bool
    checks: dict[str, str | None] = Field(examples=[{"database": None}])
    warnings: dict[str, str] = Field(
        {}, description="What somebody should look at, though it serves.", examples=[{}]
    )


@router.get("/healthz")
async def healthz() -> Alive:
    """The process lives. Says nothing about the database."""
    return Alive(status="alive")


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready: `checks` says why."}},
)
async def readyz(door: Door) -> Response:
    """The process can serve: database, migrations, keys and views are as they should be."""
    checks = dict(await door.ready())
    ready = not any(checks.values())
    # Asked only where the database answers.
    warnings = {} if checks.get("database") else await door.warnings()
    document = json.encode({"ready": ready, "checks": checks, "warnings": warnings})
    return Response(document, 200 if ready else 503, media_type="application/json")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(door: Door) -> Response:
    """Figures for Prometheus. Ids and numbers only."""
    return Response(await door.metrics(), media_type=PROMETHEUS)
