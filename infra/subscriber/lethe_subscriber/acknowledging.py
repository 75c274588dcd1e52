"""Tells the server that a person's copies are erased here, too: it stands on the certificate."""

from typing import Final

from lethe_subscriber.api import Api
from lethe_subscriber.errors import Refused

MALFORMED: Final = 422


def acknowledge(api: Api, erasure_id: str, subscriber: str) -> None:
    """In the name of the subscriber whose token it is; else in this name, where the token may write."""
    path = f"/v1/erasures/{erasure_id}/acknowledge"
    try:
        api.post(path, {})
    except Refused as error:
        if error.status != MALFORMED:
            raise
        api.post(path, {"subscriber": subscriber})
