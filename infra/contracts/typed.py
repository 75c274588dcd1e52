"""Writes the client's typed events, `lethe_subscriber/events.py`, from the schemas: a class for each type."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import indent
from typing import Any, Final

from infra.contracts.schemas import REASON
from infra.contracts.shapes import Shape

ENVELOPE: Final = frozenset(
    {"envelope", "position", "id", "aggregate_id", "aggregate_version", "actor", "reason"}
    | {"occurred_at", "recorded_at"}
)
"""What every event of the client has already, so that no field of an event may be named so."""

HEAD: Final = '''\
"""Every event that a Lethe of this release publishes, at its present version.

Made by `python -m infra.contracts publish` from the server's own classes: change those, and make this anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import ClassVar
from uuid import UUID

from lethe_subscriber.values import Event, Money, Personal
'''
FORMATS: Final = {"uuid": "UUID", "date": "date", "date-time": "datetime"}
PLAIN: Final = {"integer": "int", "boolean": "bool"}


class NameTaken(TypeError):
    """A field is named as what the client says of every event."""


class NoType(TypeError):
    """The client has no type for values of this schema."""


def typed_events(schemas: Iterable[Shape]) -> str:
    """The text of the module, as ruff formats it. `schemas`: the present version of every type."""
    ordered = sorted(schemas, key=lambda it: str(it["x-type"]))
    names = "".join(f"    {it['title']},\n" for it in ordered)
    registry = f"""
EVENTS: Mapping[str, type[Event]] = MappingProxyType({{it.TYPE: it for it in (
{names})}})
\"\"\"The class of each type.\"\"\"
"""
    return _formatted("\n\n".join([HEAD, *map(_class, ordered), registry]))


def _class(schema: Shape) -> str:
    required: set[str] = set(schema["required"])
    clear = {name: it for name, it in schema["properties"].items() if name != "sealed"}
    personal = [name for name in schema["x-personal"] if name != REASON]
    if taken := ENVELOPE & {*clear, *personal}:
        raise NameTaken(f"{schema['x-type']}: {', '.join(sorted(taken))}")
    words = str(schema["description"])
    lines = [
        f'"""{words}\n"""' if "\n" in words else f'"""{words}"""',
        "",
        f'TYPE: ClassVar[str] = "{schema["x-type"]}"',
        f"VERSION: ClassVar[int] = {schema['x-version']}",
        f'STREAM: ClassVar[str] = "{schema["x-stream"]}"',
        "",
        *(_field(name, it, required=name in required) for name, it in clear.items()),
        *(f"{name}: Personal = None" for name in personal),
    ]
    return (
        "\n@dataclass(frozen=True, kw_only=True, repr=False)\n"
        f"class {schema['title']}(Event):\n{indent(chr(10).join(lines), '    ')}\n"
    )


def _field(name: str, shape: Shape, *, required: bool) -> str:
    line = f"{name}: {type_of(shape)}"
    return line if required else f"{line} = {_literal(shape['default'])}"


def type_of(shape: Mapping[str, Any]) -> str:
    """The type of values of this schema, as it is written. Words of a list are text. Raises `NoType`."""
    match shape:
        case {"anyOf": [value, {"type": "null"}]}:
            return f"{type_of(value)} | None"
        case {"title": "Money"}:
            return "Money"
        case {"type": "string", "format": format} if format in FORMATS:
            return FORMATS[format]
        case {"type": "string"}:
            return "str"
        case {"type": "array", "items": items}:
            return f"tuple[{type_of(items)}, ...]"
        case {"type": "object", "additionalProperties": {"type": "string"}}:
            return "dict[str, str]"
        case {"type": kind} if kind in PLAIN:
            return PLAIN[kind]
    raise NoType(str(shape))


def _literal(default: Any) -> str:
    """A default, as Python writes it: JSON's lists are tuples."""
    if isinstance(default, list):
        return repr(tuple(default))
    if default is None or isinstance(default, bool | int | str):
        return repr(default)
    raise NoType(f"default {default!r}")


def _formatted(text: str) -> str:
    """As `make format` leaves it, unused imports gone."""
    ruff = Path(sys.executable).with_name("ruff")
    root = Path(__file__).parents[2]
    unused = ["check", "--select", "F401", "--fix"]
    for arguments in (unused, ["format"]):
        command = [str(ruff), *arguments, "--quiet", "--config", str(root / "pyproject.toml"), "-"]
        made = subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=root)
        text = made.stdout
    return text
