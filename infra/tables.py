"""Documents made of tables, as Markdown and as one HTML page without anything from elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of texts."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:0 0 2rem}"
    "th,td{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top}"
    "th{background:#f3f3f3}"
)


def markdown(title: str, words: str, tables: Iterable[Table]) -> str:
    """The document as GitHub-flavoured Markdown; texts in it cannot break out of their cells."""
    parts = [f"# {title}", words]
    for it in tables:
        parts.append(f"## {it.title}")
        lines = [
            _line(it.header),
            _line(["---"] * len(it.header)),
            *(_line(map(_cell, row)) for row in it.rows),
        ]
        parts.append("\n".join(lines) if it.rows else "None.")
    return "\n\n".join(parts) + "\n"


def html(title: str, words: str, tables: Iterable[Table]) -> str:
    """The document as one HTML page; nothing in it is markup but its own."""
    body = "".join(_table(it) for it in tables)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1><p>{escape(words)}</p>{body}</html>\n"
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    plain = escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{it}" if it in "\\|`*[]" else it for it in plain)


def _table(table: Table) -> str:
    if not table.rows:
        return f"<h2>{escape(table.title)}</h2><p>None.</p>"
    head = "".join(f"<th>{escape(it)}</th>" for it in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(it)}</td>' for it in row)}</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table>"
