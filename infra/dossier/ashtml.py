"""The dossier as one readable page, written as it comes: nothing is loaded, and all text is escaped."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from infra.dossier import notice
from infra.dossier.gathering import Section

CHUNK_CHARACTERS: Final = 65_536
STYLE: Final = """
body{font:16px/1.5 Georgia,serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
h1,h2,th,nav,.kind{font-family:system-ui,sans-serif}h1{font-size:1.6rem}
h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid #999}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0}
th{font-weight:600;font-size:.85rem;width:12rem;color:#444}td{white-space:pre-wrap;overflow-wrap:anywhere}
section.item{margin:1rem 0;padding:.5rem 0;border-top:1px solid #ddd;break-inside:avoid}
.kind{font-weight:600}.erased{color:#777;font-style:italic}
@media print{body{margin:0;max-width:none;font-size:10.5pt}h2{break-after:avoid}a{color:inherit}}
@page{margin:2cm}
"""
TITLES: Final = {
    "processing": "Why your data is processed, and who receives it",
    "retention": "How long it is kept",
    "requests": "What you asked of us",
    "consents": "What you agreed to",
    "records": "What is held now",
    "history": "How it came about",
    "exports": "What left the system with your data in it, or may have",
    "accesses": "When your data was looked at",
}


async def as_html(sections: AsyncIterator[Section]) -> AsyncIterator[bytes]:
    """UTF-8. One that broke off lacks its last line, which says that it is whole."""
    written: list[str] = []
    size = 0
    async for text in _texts(sections):
        written.append(text)
        size += len(text)
        if size >= CHUNK_CHARACTERS:
            yield "".join(written).encode()
            written, size = [], 0
    yield "".join(written).encode()


async def _texts(sections: AsyncIterator[Section]) -> AsyncIterator[str]:
    async for section in sections:
        match section.name:
            case "dossier":
                yield _head(section.value)
            case "processing":
                yield _titled(section.name) + _processing(section.value)
            case "end":
                yield _end(section.value)
            case _ if section.items is None:
                yield _titled(section.name) + ("".join(map(_item, section.value)) or NOTHING)
            case name:
                yield _titled(name)
                empty = True
                async for item in section.items:
                    empty = False
                    yield ITEMS[name](item)
                yield NOTHING if empty else ""


NOTHING: Final = "<p>Nothing.</p>\n"


def _head(about: Mapping[str, Any]) -> str:
    erased = ", ".join(about["erased_categories"])
    facts = {
        "Dossier": about["id"],
        "Made": about["made_at"],
        "Your pseudonym": about["subject_id"],
        "For the request": about["request_id"],
        "Erased": erased or None,
        "Restricted": "Your data is processed on special grounds only." if about["restricted"] else None,
    }
    whole = about["form"] == "access"
    title = "What is held about you" if whole else "What you provided"
    told = (notice.AUTOMATED, notice.LEFT_OUT, *([notice.ERASED] if erased else ())) if whole else ()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        + _table(facts)
        + "".join(f"<p>{escape(it)}</p>\n" for it in told)
        + "<h2>Your rights</h2>\n<ul>\n"
        + "".join(f"<li>{escape(it)}</li>\n" for it in notice.RIGHTS)
        + "</ul>\n"
    )


def _processing(about: Mapping[str, Any]) -> str:
    receivers = {
        "Systems that may open your data": "; ".join(map(_recipient, about["recipients"])) or None,
        "Systems that receive changes": ", ".join(about["streams"]) or None,
        "Systems that confirmed an erasure": ", ".join(about["subscribers"]) or None,
    }
    return "".join(map(_item, about["activities"])) + _table(receivers)


def _recipient(recipient: Mapping[str, Any]) -> str:
    return f"{recipient['name']}, for {recipient['purpose']}: {', '.join(recipient['categories'])}"


def _record(record: Mapping[str, Any]) -> str:
    facts = {"Record": record["id"], **record["personal"], **record["facts"]}
    return _section(str(record["kind"]), facts)


def _event(event: Mapping[str, Any]) -> str:
    facts = {
        "Happened": event["occurred_at"],
        "Recorded": event["recorded_at"],
        "Record": event["record_id"],
        **event["personal"],
        **event["facts"],
        "Reason": event["reason"],
        "Purpose": event["purpose"],
    }
    return _section(str(event["type"]), facts)


def _export(export: Mapping[str, Any]) -> str:
    return _section(str(export["what"]), {it: export[it] for it in export if it != "what"})


def _access(access: Mapping[str, Any]) -> str:
    return _section(str(access["operation"]), {it: access[it] for it in access if it != "operation"})


ITEMS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "records": _record,
    "history": _event,
    "exports": _export,
    "accesses": _access,
}


def _end(about: Mapping[str, Any]) -> str:
    return (
        f"<h2>End</h2>\n<p>This document is whole: {about['records']} records,"
        f" {about['events']} events.</p>\n</body>\n</html>\n"
    )


def _titled(section: str) -> str:
    return f"<h2>{escape(TITLES[section])}</h2>\n"


def _item(item: Mapping[str, Any]) -> str:
    return f'<section class="item">{_table(item)}</section>\n'


def _section(kind: str, facts: Mapping[str, Any]) -> str:
    return f'<section class="item"><div class="kind">{escape(kind)}</div>{_table(facts)}</section>\n'


def _table(facts: Mapping[str, Any]) -> str:
    lines = (
        f"<tr><th>{escape(name.replace('_', ' '))}</th>{_cell(value)}</tr>\n"
        for name, value in facts.items()
        if value not in (None, [], (), {}, "")
    )
    return f"<table>\n{''.join(lines)}</table>\n"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping) and value.get("erased") is True:
        return f'<td class="erased">erased ({escape(str(value["category"]))})</td>'
    return f"<td>{escape(_words(value))}</td>"


def _words(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        case list() | tuple():
            return ", ".join(map(_words, value))
        case Mapping():
            return ", ".join(f"{name} {_words(it)}" for name, it in value.items())
        case _:
            return str(value)
