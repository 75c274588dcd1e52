"""Who may come in: tokens, what they may do, and how a token is made and recognised.

A token is shown once, when it is made. Only its SHA-256 is kept: a token has 256 random bits, so a slow
password hash would add nothing.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

TOKEN_LENGTH_MIN = 32


class Scope(StrEnum):
    """What a token may do: see, command, erase people, see to people's rights, hand out tokens, or subscribe.

    None includes another.
    """

    READ = "read"
    WRITE = "write"
    ERASE = "erase"
    COMPLY = "comply"
    """See and do what the privacy officer does: requests, restrictions, holds, retention, who read what."""
    ADMIN = "admin"
    SUBSCRIBE = "subscribe"
    """Follow the feed, open what the subscriber is granted, acknowledge erasures."""


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: never the token itself. `actor_id` is the pseudonym it acts as."""

    id: UUID
    name: str
    scopes: frozenset[Scope]
    actor_id: UUID
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class WeakToken(Exception):
    """A token that was chosen by hand needs at least 32 characters, none of them a space."""


class TokenStore(Protocol):
    """Keeps tokens by their digest."""

    async def create(
        self, *, name: str, scopes: frozenset[Scope], actor_id: UUID, expires_at: datetime | None = None
    ) -> tuple[UUID, str]:
        """The id and the token, which nobody can be told again."""
        ...

    async def adopt(self, token: str, *, name: str, scopes: frozenset[Scope], actor_id: UUID) -> UUID:
        """Accept a token made elsewhere (`LETHE_ADMIN_TOKEN`); again for the same one: its first id.

        Raises `WeakToken`.
        """
        ...

    async def find(self, digest: bytes) -> Token | None:
        """The token with this digest, valid or not."""
        ...

    async def all(self) -> Sequence[Token]:
        """Every token ever made, oldest first."""
        ...

    async def revoke(self, id: UUID) -> bool:
        """End a token; False where there is none with this id. May be repeated."""
        ...


def mint(id: UUID) -> str:
    """A new token, `lethe_<id>_<secret>`: the id helps people to tell tokens apart, the secret is random."""
    return f"lethe_{id.hex}_{secrets.token_urlsafe(32)}"


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def check_strength(token: str) -> None:
    """Raise `WeakToken` for one that could be guessed, or could not be sent in a header."""
    if len(token) < TOKEN_LENGTH_MIN or not token.isascii() or not token.isprintable() or " " in token:
        raise WeakToken(WeakToken.__doc__)
