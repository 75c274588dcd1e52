"""Bearer tokens at the door: who calls, and whether they may."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from infra.access import Scope, Token, TokenStore, digest
from infra.http.errors import NotAllowed, NotAuthenticated
from services.ports import Clock

REMEMBERED_SECONDS_MAX: Final = 10
REMEMBERED_TOKENS_MAX: Final = 10_000


@dataclass
class Authenticator:
    """Recognises tokens. A token revoked in another process may go on for 10 seconds here."""

    tokens: TokenStore
    clock: Clock
    _remembered: dict[bytes, tuple[Token, datetime]] = field(default_factory=dict)

    async def identify(self, token: str, *, age_seconds_max: float = REMEMBERED_SECONDS_MAX) -> Token | None:
        """The token, where it is known and still valid. What is remembered for longer is asked for anew."""
        key = digest(token)
        now = self.clock.now()
        known, until = self._remembered.get(key, (None, now))
        if known is None or now >= until - timedelta(seconds=REMEMBERED_SECONDS_MAX - age_seconds_max):
            known = await self.tokens.find(key)
            if known is None:
                return None
            if len(self._remembered) >= REMEMBERED_TOKENS_MAX:
                self._remembered.clear()
            self._remembered[key] = known, now + timedelta(seconds=REMEMBERED_SECONDS_MAX)
        return known if known.is_valid(now) else None

    def forget(self) -> None:
        """Ask the store again for every token: one was just revoked."""
        self._remembered.clear()


class Allowed(HTTPBearer):
    """Lets in a token that has one scope, or one of those that do as well."""

    def __init__(self, scope: Scope, *others: Scope) -> None:
        super().__init__(
            scheme_name="token", description="`Authorization: Bearer lethe_...`", auto_error=False
        )
        self.scope = scope
        self.enough = frozenset((scope, *others))

    async def __call__(self, request: Request) -> Token:  # type: ignore[override]
        scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
        if scheme.lower() != "bearer" or not credentials:
            raise NotAuthenticated
        authenticator: Authenticator = request.app.state.authenticator
        token = await authenticator.identify(credentials)
        if token is None:
            raise NotAuthenticated
        if self.enough.isdisjoint(token.scopes):
            raise NotAllowed(self.scope)
        request.scope["lethe.actor"] = str(token.actor_id)
        return token


Reader = Annotated[Token, Security(Allowed(Scope.READ))]
Follower = Annotated[Token, Security(Allowed(Scope.SUBSCRIBE, Scope.READ))]
"""Who follows the feed: a subscriber, or anybody who may read."""
Subscriber = Annotated[Token, Security(Allowed(Scope.SUBSCRIBE))]
Acknowledger = Annotated[Token, Security(Allowed(Scope.SUBSCRIBE, Scope.WRITE))]
"""A subscriber for itself, or who writes down what another system said."""
Writer = Annotated[Token, Security(Allowed(Scope.WRITE))]
Eraser = Annotated[Token, Security(Allowed(Scope.ERASE))]
Comply = Annotated[Token, Security(Allowed(Scope.COMPLY))]
Administrator = Annotated[Token, Security(Allowed(Scope.ADMIN))]
