"""Structured logs on standard error: ids, numbers and short words. Nothing else passes, whoever logs it."""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO
from uuid import UUID

import msgspec
import structlog

# The keys under which a word may be logged. Each value must be a word of the product, never of its users.
WORDS = frozenset(
    {
        "broker", "category", "cause", "command", "error", "event_type", "fingerprint", "format",
        "ground", "group", "host", "kind", "method", "migration", "namespace", "outcome", "phase",
        "route", "scope", "signal", "stage", "state", "status", "step", "topic", "transport", "tree",
        "version", "view", "where", "work",
    }
)  # fmt: skip
WORD = re.compile(r"[A-Za-z0-9_.,:/{}<>\[\]-]{1,120}")
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Values of these types are ids, numbers and times; personal values are always text.
PLAIN = (bool, int, float, Decimal, UUID, datetime, date, timedelta, type(None))
ROOT = Path(__file__).parents[1]
OURS = ("domain/", "projections/", "services/", "infra/")


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send the product's logs, and those of the libraries it uses, to standard error as JSON lines."""
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            locate_error,
            keep_only_what_may_be_logged,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    foreign = logging.StreamHandler(out)
    foreign.setFormatter(ForeignFormatter())
    logging.basicConfig(handlers=[foreign], level=max(logging.WARNING, _number(level)), force=True)
    # Its lines hold whole request targets, and so whatever somebody searched for.
    logging.getLogger("uvicorn.access").disabled = True


def locate_error(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an exception's types and places in its stead: its text may quote what it was given."""
    given = fields.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        fields.update(_located(error))
    return fields


def keep_only_what_may_be_logged(_: Any, __: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Keep plain values, and words under known keys; name the keys of whatever is withheld."""
    kept: dict[str, Any] = {}
    withheld: list[str] = []
    for key, value in fields.items():
        plain = value.value if isinstance(value, Enum) else value
        if _may_be_logged(key, plain):
            kept[key] = plain
        else:
            withheld.append(key)
    if "event" not in kept:
        kept["event"] = "unnamed"
    return kept | ({"withheld": withheld} if withheld else {})


def _may_be_logged(key: str, value: object) -> bool:
    match key, value:
        case ("event", str(text)):
            return EVENT.fullmatch(text) is not None
        case ("level" | "time" | "logger" | "at" | "template", str()):
            return True
        case (_, str(text)):
            return ID.fullmatch(text) is not None or (key in WORDS and WORD.fullmatch(text) is not None)
        case ("trace", list(places)):
            return all(isinstance(place, str) for place in places)
        case _:
            return isinstance(value, PLAIN)


class ForeignFormatter(logging.Formatter):
    """What a library logs: where, and the template of its message without the values put into it."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON line. A message without a template is withheld: it may have been formatted before."""
        fields: dict[str, Any] = {
            "event": "library",
            "level": record.levelname.lower(),
            "time": self.formatTime(record),
            "logger": record.name,
            "at": f"{Path(record.pathname).name}:{record.lineno}",
        }
        if record.args and isinstance(record.msg, str):
            fields["template"] = record.msg
        if record.exc_info and record.exc_info[1] is not None:
            fields.update(_located(record.exc_info[1]))
        return _json(keep_only_what_may_be_logged(None, "", fields))


def _located(error: BaseException) -> dict[str, Any]:
    names: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(names) < 5:
        names.append(type(cause).__qualname__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return {"error": ",".join(names), "trace": _places(error.__traceback__)}


def place_of_error(error: BaseException) -> tuple[str, str]:
    """What went wrong and where, as it may be kept: classes, and the last place in our own program."""
    found = _located(error)
    ours = [it for it in found["trace"] if it.startswith(OURS)] or found["trace"] or [""]
    return found["error"], ours[-1]


def _places(trace: TracebackType | None) -> list[str]:
    return [f"{_short(it.filename)}:{it.lineno}" for it in traceback.extract_tb(trace, limit=-12)]


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else "/".join(path.parts[-2:])


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _json(fields: Any, **_: Any) -> str:
    return msgspec.json.encode(fields, enc_hook=str).decode()
