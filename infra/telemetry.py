"""Traces, where OpenTelemetry is set up; where it is not, its API does nothing and costs next to nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

HEADER = "traceparent"
W3C = TraceContextTextMapPropagator()
# W3C Trace Context, version 00: neither id may be all zeros.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_tracer = trace.get_tracer("lethe")


def valid_traceparent(header: str | None) -> str | None:
    """The header where it is well formed, else None: what a caller sends is stored and passed on."""
    return header if header is not None and TRACEPARENT.fullmatch(header) else None


def current_traceparent() -> str | None:
    """The W3C header of the span we are in, to be stored with events and sent on; None outside any."""
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    return carrier.get(HEADER)


@contextmanager
def span(name: str, *, traceparent: str | None = None, **attributes: AttributeValue) -> Iterator[None]:
    """Work inside a span that continues the trace of a stored or received header. Attributes are ids."""
    with _tracer.start_as_current_span(
        name,
        context=_continued(traceparent),
        attributes=attributes,
        # The text and trace of an exception may quote personal data.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_status(trace.StatusCode.ERROR, type(error).__qualname__)
            raise


def _continued(traceparent: str | None) -> Context | None:
    valid = valid_traceparent(traceparent)
    return W3C.extract({HEADER: valid}) if valid else None
