"""The register of processing over HTTP, for people and for programs."""

from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field

from infra.http.auth import Reader
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, documented
from infra.http.reading import ReadQuery, wait_for
from infra.inventory import REGISTER_WORDS, Register, register, register_tables
from infra.tables import html, markdown

router = APIRouter(tags=["register"])


class Form(StrEnum):
    """How the register is written."""

    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


class RegisterQuery(ReadQuery):
    form: Form = Field(Form.JSON, description="How it is written.")


OTHER_FORMS: Final[dict[str, Any]] = {
    media: {"schema": {"type": "string"}} for media in ("text/markdown", "text/html")
}


@router.get(
    "/v1/register",
    response_model=Register,
    responses=documented(*READ_REFUSALS) | {200: {"content": OTHER_FORMS}},
)
async def read_register(door: Door, token: Reader, query: Annotated[RegisterQuery, Query()]) -> Any:
    """The register of processing (GDPR, article 30).

    Its living activities; who follows the events, and may open what; what each category of personal data is
    used for, and how long it is kept; and every field of every event that can be stored, from the catalogue
    that the program itself is held to.
    """
    await wait_for(door, query)
    found = await register(door.views, namespace=door.namespace, at=door.clock.now())
    if query.form is Form.JSON:
        return found
    write = html if query.form is Form.HTML else markdown
    words = f"{REGISTER_WORDS} Made at {found.made_at:%Y-%m-%d %H:%M} UTC."
    document = write(f"Register of {found.namespace}", words, register_tables(found))
    return Response(document, media_type=f"text/{query.form}")
