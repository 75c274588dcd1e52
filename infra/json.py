"""JSON as the product writes and reads it: times in RFC 3339 with Z, decimals as strings, ids in hex."""

from typing import Any

import msgspec
from pydantic import BaseModel


def _plain(value: Any) -> Any:
    match value:
        case str():  # a value type of the domain
            return str(value)
        case BaseModel():
            return value.model_dump(mode="json")
    raise TypeError(f"no JSON for {type(value).__qualname__}")


_compact = msgspec.json.Encoder(enc_hook=_plain)
_ordered = msgspec.json.Encoder(enc_hook=_plain, order="sorted")


def encode(value: Any) -> bytes:
    """UTF-8, compact. Raises `TypeError`, or `ValueError` for text that is no Unicode (a lone surrogate)."""
    return _compact.encode(value)


def encode_ordered(value: Any) -> bytes:
    """The same with object members in order of name, so that equal values give equal bytes."""
    return _ordered.encode(value)


def decode(text: bytes | str) -> Any:
    """Dicts, lists, strings and numbers. Raises `ValueError` for what is no JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError("not JSON") from error
