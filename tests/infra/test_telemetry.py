"""Traces: W3C headers in and out, with and without a tracer behind the API."""

import pytest

from infra.telemetry import current_traceparent, span, valid_traceparent

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_received_trace_is_continued_without_a_tracer() -> None:
    with span("work", traceparent=HEADER, position=1):
        assert current_traceparent() == HEADER
    assert current_traceparent() is None


def test_outside_any_trace_there_is_no_header() -> None:
    with span("work"):
        assert current_traceparent() is None


@pytest.mark.parametrize(
    "header",
    [None, "", "Ada Lovelace", HEADER + "\n", HEADER.upper(), HEADER.replace("00f067aa0ba902b7", "0" * 16)],
)
def test_what_is_no_trace_header_is_dropped(header: str | None) -> None:
    assert valid_traceparent(header) is None
    with span("work", traceparent=header):
        assert current_traceparent() is None


def test_an_error_inside_a_span_goes_on() -> None:
    with pytest.raises(KeyError), span("work"):
        raise KeyError
