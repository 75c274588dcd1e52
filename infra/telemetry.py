"""The trace that a caller names: stored with each event, and sent on."""

import re

# W3C Trace Context, version 00: neither id may be all zeros.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def valid_traceparent(header: str | None) -> str | None:
    """The header where it is well formed, else None: what a caller sends is stored and passed on."""
    return header if header is not None and TRACEPARENT.fullmatch(header) else None
