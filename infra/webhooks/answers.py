"""What comes of an attempt to hand an event over."""

from enum import StrEnum
from typing import Final, NamedTuple

GONE: Final = 410
OVERLOADED: Final = frozenset({429, 502, 503, 504})


class Fault(StrEnum):
    """What went wrong where there was no answer, or none that says the event arrived."""

    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    NAME_NOT_FOUND = "name_not_found"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    BROKEN_OFF = "broken_off"
    REDIRECTED = "redirected"
    REFUSED = "refused"


class Answer(NamedTuple):
    """What came of an attempt: the status, where one came, and the fault, where it did not arrive."""

    status: int | None = None
    fault: Fault | None = None
    retry_after: float | None = None
    """Seconds, as the receiver asks for."""

    @property
    def of_endpoint(self) -> bool:
        """Whether the fault looks like one of the whole endpoint, rather than with this one event."""
        return self.status in OVERLOADED or (self.fault is not None and self.status is None)
