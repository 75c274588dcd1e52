"""Access tokens over HTTP: made, listed and ended by an administrator."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from infra.access import Scope, Token
from infra.http.auth import Administrator
from infra.http.dependencies import Door
from infra.http.errors import Malformed, NotFound, documented
from infra.http.reading import Page
from infra.http.values import Line, Moment

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


class NewToken(BaseModel):
    """What a token is for, what it may do, and until when."""

    model_config = ConfigDict(extra="forbid")

    name: Line = Field(
        description="What uses it: a program or a purpose, not a person.", examples=["billing"]
    )
    scopes: set[Scope] = Field(min_length=1, examples=[["read", "write"]])
    actor_id: UUID | None = Field(
        None, description="The member it acts as; absent: a service account of its own.", examples=[None]
    )
    expires_at: Moment | None = Field(None, examples=[None])


class TokenRecord(BaseModel):
    """A token, without the token."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    scopes: list[Scope]
    actor_id: UUID = Field(description="What the token does is recorded under this id.")
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None

    @classmethod
    def of(cls, token: Token) -> "TokenRecord":
        return cls(
            id=token.id,
            name=token.name,
            scopes=sorted(token.scopes),
            actor_id=token.actor_id,
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
        )


class MintedToken(BaseModel):
    """The token itself: shown now, and never again."""

    id: UUID
    actor_id: UUID
    token: str = Field(examples=["lethe_<id>_<secret>"])


@router.post("", status_code=201, responses=documented(400, 401, 403, 413, 415, 422, 503))
async def create_token(body: NewToken, door: Door, token: Administrator, response: Response) -> MintedToken:
    """Make a token. The answer is the only place that ever shows it."""
    if body.expires_at is not None and body.expires_at <= door.clock.now():
        raise Malformed("It must lie in the future.", field="expires_at", rule="past")
    actor_id = body.actor_id or uuid7()
    id, minted = await door.tokens.create(
        name=body.name, scopes=frozenset(body.scopes), actor_id=actor_id, expires_at=body.expires_at
    )
    response.headers["Location"] = f"/v1/tokens/{id}"
    response.headers["Cache-Control"] = "no-store"
    return MintedToken(id=id, actor_id=actor_id, token=minted)


@router.get("", responses=documented(401, 403, 503))
async def list_tokens(door: Door, token: Administrator) -> Page[TokenRecord]:
    """Every token ever made, oldest first: who may do what, since when, until when."""
    return Page(items=[TokenRecord.of(it) for it in await door.tokens.all()], next=None)


@router.delete("/{id}", status_code=204, responses=documented(401, 403, 404, 422, 503))
async def revoke_token(
    id: Annotated[UUID, Path()], door: Door, token: Administrator, request: Request
) -> None:
    """End a token: at once in this process, within 10 seconds in others."""
    if not await door.tokens.revoke(id):
        raise NotFound
    request.app.state.authenticator.forget()
