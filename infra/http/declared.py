"""What a request says of itself beside its content: for whom, for what purpose, on which ground."""

import re
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from starlette.datastructures import Headers

from infra.http.errors import Malformed
from services.ports import Ground

ON_BEHALF_OF: Final = "Lethe-On-Behalf-Of"
PURPOSE: Final = "Lethe-Purpose"
GROUND: Final = "Lethe-Ground"
PURPOSE_CODE: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class Declared:
    """`on_behalf_of`: the pseudonym of whom the caller acts for. `purpose`: a processing activity's code.

    `ground`: why data whose processing is restricted may be seen or processed all the same.
    """

    on_behalf_of: str | None = None
    purpose: str | None = None
    ground: Ground | None = None


NOTHING_DECLARED: Final = Declared()


def declared(headers: Headers) -> Declared:
    """What the headers say. Raises `Malformed`."""
    for_whom, purpose, ground = headers.get(ON_BEHALF_OF), headers.get(PURPOSE), headers.get(GROUND)
    if for_whom is None and purpose is None and ground is None:
        return NOTHING_DECLARED
    if purpose is not None and PURPOSE_CODE.fullmatch(purpose) is None:
        raise Malformed("Small letters, digits and hyphens, 40 at most.", field=PURPOSE, rule="pattern")
    return Declared(None if for_whom is None else _uuid(for_whom), purpose, _ground(ground))


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Malformed("It must be a UUID.", field=ON_BEHALF_OF, rule="uuid_parsing") from None


def _ground(text: str | None) -> Ground | None:
    if text is None:
        return None
    try:
        return Ground(text)
    except ValueError:
        raise Malformed(f"One of: {', '.join(Ground)}.", field=GROUND, rule="enum") from None


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


DECLARED_HEADERS: Final[list[dict[str, Any]]] = [
    _header(
        ON_BEHALF_OF, "The id of whom you act for; kept in the history.", {"type": "string", "format": "uuid"}
    ),
    _header(
        PURPOSE,
        "The code of the processing activity this serves.",
        {"type": "string", "pattern": f"^{PURPOSE_CODE.pattern}$"},
    ),
    _header(
        GROUND,
        "Why restricted data may be processed all the same (GDPR, article 18(2)).",
        {"type": "string", "enum": [str(it) for it in Ground]},
    ),
]
"""For the OpenAPI document. Parsed by hand: FastAPI's header parameters cost a create a tenth of its time."""
