"""The W3C trace header of a caller."""

import pytest

from infra.telemetry import valid_traceparent

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_header_is_taken_as_it_is() -> None:
    assert valid_traceparent(HEADER) == HEADER


@pytest.mark.parametrize(
    "header",
    [None, "", "Ada Lovelace", HEADER + "\n", HEADER.upper(), HEADER.replace("00f067aa0ba902b7", "0" * 16)],
)
def test_what_is_no_trace_header_is_dropped(header: str | None) -> None:
    assert valid_traceparent(header) is None
