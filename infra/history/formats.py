"""How exports are written, piece by piece: JSON Lines, CSV, or a report to read and to print.

An item is a JSON object. CSV (RFC 4180) has a column for each member of the first one: texts as they are,
all else as JSON. A text that a spreadsheet would take for a formula (it begins with one of `= + - @`, a tab
or a line break) gets an apostrophe in front. The report is one page of HTML that loads and runs nothing.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final, Protocol

from domain.values import ExportFormat
from infra import json

Item = Mapping[str, Any]
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
ITEMS_A_PART: Final = 50
PROOF_MARK: Final = b"<!--lethe/export/1-->\n"
"""Ends the part of a report that is proven: the digest is over all bytes before it."""


@dataclass(frozen=True, slots=True)
class Title:
    """What stands at the head of a report: what it is of, by which filters, when and by whom it was made."""

    what: str
    filters: Mapping[str, str]
    export_id: str
    actor: str
    begun_at: datetime


class Writer(Protocol):
    """Writes one export."""

    media_type: str

    def head(self) -> bytes: ...

    def item(self, item: Item) -> bytes: ...

    def tail(self, count: int) -> bytes: ...

    def proof(self, manifest: str) -> bytes:
        """What follows the proven part in the file itself; nothing where the manifest stays beside it."""
        ...


class JsonLines:
    """One JSON object a line."""

    media_type = "application/jsonl"

    def head(self) -> bytes:
        return b""

    def item(self, item: Item) -> bytes:
        return json.encode(item) + b"\n"

    def tail(self, count: int) -> bytes:
        return b""

    def proof(self, manifest: str) -> bytes:
        return b""


class Csv:
    """A line of names, then one a item; UTF-8."""

    media_type = "text/csv; charset=utf-8; header=present"

    def __init__(self) -> None:
        self._columns: tuple[str, ...] = ()

    def head(self) -> bytes:
        return b""

    def item(self, item: Item) -> bytes:
        line = b""
        if not self._columns:
            self._columns = tuple(item)
            line = _line(self._columns)
        return line + _line([cell(item.get(name)) for name in self._columns])

    def tail(self, count: int) -> bytes:
        return b""

    def proof(self, manifest: str) -> bytes:
        return b""


def cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.encode(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text


def _line(cells: Any) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


STYLE: Final = """
body{font:15px/1.45 Georgia,serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
h1,h2,h3,th,nav,.when{font-family:system-ui,sans-serif}h1{font-size:1.6rem}
h2{font-size:1.1rem;margin-top:2.5rem;border-bottom:1px solid #999}h3{font-size:1rem;margin:0 0 .25rem}
nav{font-size:.85rem}.when{font-size:.85rem;color:#444}
section.item{margin:.75rem 0;padding:.5rem 0;border-top:1px solid #ddd;break-inside:avoid}
table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.1rem .9rem .1rem 0}
th{font-weight:600;font-size:.85rem;color:#444}td{white-space:pre-wrap;overflow-wrap:anywhere}
.nothing{color:#777;font-style:italic}pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.75rem}
@page{margin:2cm;@bottom-right{content:counter(page) " / " counter(pages);font:9pt system-ui,sans-serif}}
@media print{body{margin:0;max-width:none;font-size:10pt}section.part{break-before:page}nav{display:none}}
"""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


class Html:
    """A report in parts of fifty items, each of which begins a page when it is printed."""

    media_type = "text/html; charset=utf-8"

    def __init__(self, title: Title) -> None:
        self._title = title
        self._items = 0

    def head(self) -> bytes:
        it = self._title
        filters = it.filters or {"filters": "none"}
        rows = {"made for": it.actor, "begun": _moment(it.begun_at), "export": it.export_id, **filters}
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f"<title>{escape(it.what)}</title><style>{STYLE}</style></head>\n"
            f"<body><h1>{escape(it.what.capitalize())}</h1>{_table(rows)}\n<main>"
        ).encode()

    def item(self, item: Item) -> bytes:
        part, place = divmod(self._items, ITEMS_A_PART)
        self._items += 1
        begin = self._part(part) if place == 0 else ""
        return f"{begin}{_entry(item) if 'changes' in item else _record(item)}\n".encode()

    def _part(self, part: int) -> str:
        end = "</section>" if part else ""
        back = f'<a href="#part-{part}">back</a> · ' if part else ""
        return (
            f'{end}<section class="part" id="part-{part + 1}"><h2>Part {part + 1}</h2>'
            f'<nav>{back}<a href="#part-{part + 2}">on</a></nav>\n'
        )

    def tail(self, count: int) -> bytes:
        end = "</section>" if self._items else ""
        return f'{end}</main><p class="when">{count} in all. The end.</p>\n'.encode()

    def proof(self, manifest: str) -> bytes:
        """The note, and over which bytes it speaks."""
        return (
            PROOF_MARK
            + (
                '<section class="part" id="proof"><h2>Proof</h2>'
                "<p>The note below is signed. Its <code>sha256</code> is that of all bytes before "
                "the comment <code>lethe/export/1</code>. Save the note apart, and check both with the "
                "verifier.</p>"
                f"<pre>{escape(manifest, quote=False)}</pre></section></body></html>\n"
            ).encode()
        )


def writer_of(format: ExportFormat, title: Title) -> Writer:
    match format:
        case ExportFormat.JSONL:
            return JsonLines()
        case ExportFormat.CSV:
            return Csv()
        case ExportFormat.HTML:
            return Html(title)
        case ExportFormat.JSON:
            raise ValueError("only a dossier is one JSON document")


def _entry(item: Item) -> str:
    """An event of a history, as one reads it."""
    who = f"{item['actor']}" + (f" for {item['on_behalf_of']}" if item["on_behalf_of"] else "")
    facts = {
        "who": who,
        "why": item["reason"],
        "purpose": item["purpose"],
        "ground": item["ground"],
        "request": item["correlation_id"],
        "caused": ", ".join(f"{it['type']} at {it['position']}" for it in item["caused"]) or None,
        "withheld": "processing is restricted" if item["restricted"] else None,
    }
    changed = "".join(
        f"<tr><th>{escape(it['field'])}</th><td>{_value(it['from'])}</td><td>{_value(it['to'])}</td></tr>"
        for it in item["changes"]
    )
    table = f"<table><tr><th></th><th>from</th><th>to</th></tr>{changed}</table>" if changed else ""
    when = f"{item['occurred_at']}, recorded {item['recorded_at']}"
    return (
        f'<section class="item"><h3>{escape(item["type"])}</h3><p class="when">{escape(when)} · position '
        f"{item['position']} · {escape(item['record_id'])} version {item['version']}</p>"
        f"{_table({name: it for name, it in facts.items() if it is not None})}{table}</section>"
    )


def _record(item: Item) -> str:
    said = {name: value for name, value in item.items() if value not in (None, [], {})}
    return f'<section class="item">{_table(said)}</section>'


def _table(rows: Mapping[str, Any]) -> str:
    return (
        "<table>"
        + "".join(
            f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{_value(it)}</td></tr>"
            for name, it in rows.items()
        )
        + "</table>"
    )


def _value(value: Any) -> str:
    match value:
        case None:
            return '<span class="nothing">nothing</span>'
        case {"erased": True, "category": category}:
            return f'<span class="nothing">erased ({escape(str(category))})</span>'
        case str():
            return escape(value)
        case _:
            return escape(json.encode(value).decode())


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
