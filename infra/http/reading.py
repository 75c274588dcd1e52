"""How views are read: what is asked, page by page, after one's own write; by whom, and what they saw."""

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.model import Category
from infra.access import Token
from infra.accesslog import Access, network_of, packed
from infra.http.auth import Reader
from infra.http.commands import correlation_of
from infra.http.declared import DECLARED_HEADERS, Declared, declared
from infra.http.dependencies import Dependencies
from infra.http.errors import Malformed, NotYetVisible
from infra.http.values import Line
from projections.model import Project, Row
from services.ports import RecordNotFound

WAIT_SECONDS_MAX: Final = 5.0
POSITION_MAX: Final = 2**63 - 1
R = TypeVar("R", bound=Row)
T = TypeVar("T")
F = TypeVar("F")

Position = Annotated[int, Field(ge=0, le=POSITION_MAX)]


class Query(BaseModel):
    """The parameters of a read. An unknown one is refused, rather than silently without effect."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadQuery(Query):
    at_least: Position | None = Field(
        None, description="Wait, up to 5 s, until the views show the event at this position."
    )


def filter_of(query: Query, kind: type[F]) -> F:
    """The view's filter, each of its fields from the parameter of the same name."""
    return kind(**{it.name: getattr(query, it.name) for it in fields(kind)})  # type: ignore[arg-type]


class RecordQuery(ReadQuery):
    as_of: AwareDatetime | None = Field(
        None, description="Show the record as it was then.", examples=["2026-03-01T00:00:00Z"]
    )
    known_at: AwareDatetime | None = Field(
        None, description="Show it as far as was recorded at this moment.", examples=["2026-03-01T00:00:00Z"]
    )


class ListQuery(ReadQuery):
    limit: int = Field(50, ge=1, le=200, description="How many items at most.")
    cursor: str | None = Field(
        None, max_length=64, description="Where to go on: the `next` of the last answer."
    )

    def after(self) -> UUID | None:
        """The last id of the page before. Raises `Malformed`."""
        if self.cursor is None:
            return None
        key = cursor_bytes(self.cursor)
        if len(key) != 16:
            raise broken_cursor()
        return UUID(bytes=key)

    def position(self) -> int:
        """The last position of the page before. Raises `Malformed`."""
        if self.cursor is None:
            return 0
        key = cursor_bytes(self.cursor)
        if len(key) != 8 or key[0] > 127:
            raise broken_cursor()
        return int.from_bytes(key, "big")


class SearchQuery(ListQuery):
    q: Line | None = Field(
        None,
        description="Find by name: part of a person's or a company's. Stands alone, and answers one page.",
        examples=[None],
    )

    def check_alone(self) -> None:
        """Raises `Malformed` where something else is asked beside `q`."""
        others = self.model_fields_set - {"q", "limit", "at_least"}
        if self.q is not None and others:
            raise Malformed(
                f"It stands alone: leave out {', '.join(sorted(others))}.", field="q", rule="stands_alone"
            )


def broken_cursor() -> Malformed:
    return Malformed("Give the `next` of an answer, as it is.", field="cursor", rule="cursor")


def cursor_bytes(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise broken_cursor() from None


def cursor_of(key: UUID | int) -> str:
    raw = key.bytes if isinstance(key, UUID) else key.to_bytes(8, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Page(BaseModel, Generic[T]):
    """A part of a list, and where it goes on."""

    items: list[T]
    next: str | None = Field(description="The `cursor` of the next page; null: this was the last.")


def next_page(rows: Sequence[Row], limit: int) -> str | None:
    """The cursor after a full page."""
    return cursor_of(rows[-1].id) if len(rows) == limit else None


async def wait_for(door: Dependencies, query: ReadQuery) -> None:
    """Wait until the views show what the caller wants to see. Raises `NotYetVisible`."""
    if query.at_least and not await door.views.wait_for(query.at_least, WAIT_SECONDS_MAX):
        raise NotYetVisible


@dataclass(frozen=True, slots=True)
class Reading:
    """A request that may show personal data: who asks, for whom, what for, and from where."""

    door: Dependencies
    token: Token
    declared: Declared
    operation: str
    network: str | None
    correlation_id: UUID

    async def note(
        self,
        subject_ids: Collection[UUID],
        categories: Collection[Category],
        *,
        count: int,
        everyone: bool = False,
        export_id: UUID | None = None,
    ) -> None:
        """Put down who is shown whose data, before it is shown. Raises `Unavailable` where that cannot be."""
        subjects = packed(it.bytes for it in subject_ids)
        await self.note_packed(subjects, categories, count=count, everyone=everyone, export_id=export_id)

    async def note_packed(
        self,
        subjects: bytes,
        categories: Collection[Category],
        *,
        count: int,
        everyone: bool = False,
        export_id: UUID | None = None,
    ) -> None:
        """The same, with the ids as `Access.subjects` has them."""
        accesses = self.door.accesses
        accesses.note(
            Access(
                at=self.door.clock.now(),
                actor=self.token.actor_id,
                token_id=self.token.id,
                on_behalf_of=self.declared.on_behalf_of,
                operation=self.operation,
                purpose=self.declared.purpose,
                ground=self.declared.ground,
                network=self.network,
                subjects=subjects,
                categories=tuple(sorted(categories)),
                count=count,
                everyone=everyone,
                export_id=export_id,
                correlation_id=self.correlation_id,
            )
        )
        await accesses.settled()


async def _reading(request: Request, token: Reader) -> Reading:
    return reading_of(request, token)


def reading_of(request: Request, token: Token) -> Reading:
    """The same for a request whose token is let in by another scope."""
    route = request.scope["route"]
    return Reading(
        door=request.app.state.door,
        token=token,
        declared=declared(request.headers),
        operation=route.operation_id or route.name,
        network=None if request.client is None else network_of(request.client.host),
        correlation_id=correlation_of(request),
    )


Seeing = Annotated[Reading, Depends(_reading)]
DECLARED: Final[dict[str, Any]] = {"parameters": DECLARED_HEADERS}
"""The headers of a read, for the OpenAPI document."""


async def as_it_was(door: Dependencies, project: Project[R], id: UUID, query: RecordQuery) -> R:
    """The record's row as of the times asked for. Raises `RecordNotFound` where there was none yet."""
    row = await door.histories.as_of(project, id, as_of=query.as_of, known_at=query.known_at)
    if row is None:
        raise RecordNotFound(id)
    return row


def etag(row: Row, query: RecordQuery | None = None) -> dict[str, str]:
    """The version to send back in If-Match; a record as it was cannot be changed."""
    was = query is not None and (query.as_of or query.known_at)
    return {} if was else {"ETag": f'"{row.version}"'}
