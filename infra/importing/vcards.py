"""vCards (2.1, RFC 2426, RFC 6350) as clients really export them, each as a flat row."""

import codecs
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any, NamedTuple

from vobject.base import VObjectError, getLogicalLines, textLineToContentLine
from vobject.vcard import splitFields

# Big, and nothing we keep; Android folds them so that no decoder reads them.
BINARY = re.compile(r"(?:[\w-]+\.)?(PHOTO|LOGO|SOUND|KEY)[;:]", re.IGNORECASE)
CARD = re.compile(rb"BEGIN:VCARD.*?END:VCARD", re.IGNORECASE | re.DOTALL)
CHARSET = re.compile(rb"CHARSET=\"?([\w.:-]+)", re.IGNORECASE)
Properties = dict[str, list[Any]]
ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Card(NamedTuple):
    """What we keep of a card, and the properties of it that nobody could read."""

    values: dict[str, str]
    unreadable: list[str]


def cards(data: bytes) -> Iterator[Card]:
    """The cards of a file. A property that cannot be read takes only itself out."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16").encode("utf-8")
    for found in CARD.finditer(data):
        yield _card(_text(found[0]))


def _text(card: bytes) -> str:
    """The card's text. Some clients write the charset beside a value, some write none at all."""
    try:
        text = card.decode("utf-8")
    except UnicodeDecodeError:
        named = CHARSET.search(card)
        text = card.decode(named[1].decode("ascii") if named else "cp1252")
    kept, binary = [], False
    for line in text.splitlines():
        binary = bool(BINARY.match(line)) or (binary and line[:1] in ("", " ", "\t"))
        if not binary:
            kept.append(line)
    return "\r\n".join(kept) + "\r\n"


def _card(text: str) -> Card:
    card: Properties = {}
    unreadable = []
    for line, number in getLogicalLines(StringIO(text), allowQP=True):
        try:
            found = textLineToContentLine(line, number)
        except (VObjectError, LookupError, ValueError):
            unreadable.append(line.split(":")[0].split(";")[0].rpartition(".")[2].lower())
        else:
            card.setdefault(found.name.lower(), []).append(found)
    row = {
        "uid": _plain(_best(card, "uid")),
        "name": _plain(_best(card, "fn")) or _name(card),
        "organisation": _fields(_best(card, "org"))[0],
        "title": _plain(_best(card, "title")),
        "email": _plain(_best(card, "email")).removeprefix("mailto:"),
        "phone": _plain(_best(card, "tel")).removeprefix("tel:").split(";")[0],
        "address": _address(card),
        "born_on": _plain(_best(card, "bday")),
        "note": _plain(_best(card, "note")),
    }
    return Card({column: value.strip() for column, value in row.items() if value.strip()}, unreadable)


def _best(card: Properties, name: str) -> Any:
    """The preferred property of that name that is not empty; a fax is nobody's first choice."""
    lines = [it for it in card.get(name, ()) if it.value.strip()]
    return min(lines, key=_rank, default=None)


def _rank(line: Any) -> tuple[bool, int]:
    words = {it.upper() for it in line.singletonparams}
    words |= {word.upper() for it in line.params.get("TYPE", ()) for word in it.split(",")}
    preference = line.params.get("PREF", ["100"])[0]
    order = int(preference) if preference.isdecimal() else 100
    return (bool(words & {"FAX", "PAGER"}), 0 if "PREF" in words else order)


def _plain(line: Any) -> str:
    if line is None:
        return ""
    text: str = ESCAPE.sub(lambda it: "\n" if it[1] in "nN" else it[1], line.value)
    return "\n".join(text.splitlines())


def _fields(line: Any) -> list[str]:
    """The parts of a structured value; vobject gives a list where a part holds commas."""
    parts = splitFields(line.value) if line is not None else [""]
    texts = [", ".join(map(str.strip, it)) if isinstance(it, list) else it for it in parts]
    return [it.strip(" ,") for it in texts]


def _name(card: Properties) -> str:
    family, given, additional, prefix, suffix, *_ = *_fields(_best(card, "n")), "", "", "", "", ""
    return " ".join(it for it in (prefix, given, additional, family, suffix) if it)


def _address(card: Properties) -> str:
    box, extended, street, city, region, code, country, *_ = *_fields(_best(card, "adr")), *[""] * 7
    town = " ".join(it for it in (code, city, region) if it)
    lines = "\n".join((box, extended, street, town, country)).splitlines()
    return "\n".join(it.strip(" ,") for it in lines if it.strip(" ,"))
