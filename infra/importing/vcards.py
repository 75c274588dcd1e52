"""vCards (2.1, RFC 2426, RFC 6350) as clients really export them, each as a flat row."""

import codecs
import re
from collections.abc import Iterator
from typing import Any

import vobject
from vobject.vcard import Address, Name

# Big, and nothing we keep; Android folds them so that no decoder reads them.
BINARY = re.compile(r"(?:[\w-]+\.)?(PHOTO|LOGO|SOUND|KEY)[;:]", re.IGNORECASE)
CARD = re.compile(rb"BEGIN:VCARD.*?END:VCARD", re.IGNORECASE | re.DOTALL)
CHARSET = re.compile(rb"CHARSET=\"?([\w.:-]+)", re.IGNORECASE)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class BadCard(Exception):
    """The card cannot be read; the text says why, never what is in it."""


def cards(data: bytes) -> Iterator[dict[str, str] | BadCard]:
    """One flat row a card; a card that cannot be read takes only itself out."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16").encode("utf-8")
    for found in CARD.finditer(data):
        try:
            yield _flat(_text(found[0]))
        except (vobject.base.VObjectError, LookupError, UnicodeDecodeError, ValueError) as error:
            yield BadCard(f"not a readable vCard ({type(error).__name__})")


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


def _flat(text: str) -> dict[str, str]:
    card = vobject.readOne(text, transform=False, allowQP=True)
    row = {
        "uid": _plain(_best(card, "uid")),
        "name": _plain(_best(card, "fn")) or _name(card),
        "organisation": _plain(_best(card, "org")).split(";")[0],
        "title": _plain(_best(card, "title")),
        "email": _plain(_best(card, "email")).removeprefix("mailto:"),
        "phone": _plain(_best(card, "tel")).removeprefix("tel:").split(";")[0],
        "address": _address(card),
        "born_on": _plain(_best(card, "bday")),
        "note": _plain(_best(card, "note")),
    }
    return {column: value.strip() for column, value in row.items() if value.strip()}


def _best(card: Any, name: str) -> Any:
    """The preferred property of that name that is not empty; a fax is nobody's first choice."""
    lines = [it for it in card.contents.get(name, ()) if it.value.strip()]
    return min(lines, key=_rank, default=None)


def _rank(line: Any) -> tuple[bool, int]:
    words = {it.upper() for it in line.singletonparams}
    words |= {word.upper() for it in line.params.get("TYPE", ()) for word in it.split(",")}
    preference = line.params.get("PREF", ["100"])[0]
    return (bool(words & {"FAX", "PAGER"}), 0 if "PREF" in words else int(preference or 1))


def _plain(line: Any) -> str:
    if line is None:
        return ""
    return ESCAPE.sub(lambda it: "\n" if it[1] in "nN" else it[1], line.value)


def _name(card: Any) -> str:
    line = _best(card, "n")
    if line is None:
        return ""
    name: Name = line.transformToNative().value
    return " ".join(_words(name.prefix, name.given, name.additional, name.family, name.suffix))


def _address(card: Any) -> str:
    line = _best(card, "adr")
    if line is None:
        return ""
    it: Address = line.transformToNative().value
    town = " ".join(_words(it.code, it.city, it.region))
    lines = [*_words(it.box), *_words(it.extended), *_words(it.street), town, *_words(it.country)]
    return "\n".join(part for line in lines for part in line.splitlines() if part.strip())


def _words(*parts: Any) -> list[str]:
    """The parts that say something; vobject gives a list where a part holds commas."""
    texts = [", ".join(it) if isinstance(it, list) else it for it in parts]
    return [it.strip(" ,") for it in texts if it.strip(" ,")]
