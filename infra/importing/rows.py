"""Reading files: CSV (also gzipped), NDJSON and vCard, as rows of text by column."""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from infra.importing.mapping import Join, Mapping

CELL_CHARACTERS_MAX = 1_000_000


class BadFile(Exception):
    """The file as a whole cannot be imported. The text is one line without anything from inside it."""


class Reason(NamedTuple):
    """Why a row, or a field of it, is left out: the field and the rule, never the value."""

    field: str
    rule: str


class Row(NamedTuple):
    """One row; `number` counts from 1, without the header. An unreadable one has a `fault` and no values.

    `omitted` are parts of it that cannot be read, while the rest can.
    """

    number: int
    values: dict[str, str]
    fault: Reason | None = None
    omitted: tuple[Reason, ...] = ()


def read(path: Path, mapping: Mapping) -> Iterator[Row]:
    """The rows of the file, joined with the files that the mapping names. Raises `BadFile`."""
    rows = _plain(path, mapping)
    for join in mapping.joins:
        rows = _joined(rows, join, _lookup(path.with_name(join.file), join, mapping))
    return rows


def size_of(path: Path) -> int:
    """Lines of the file, roughly its rows: for a progress bar."""
    with _bytes(path) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _plain(path: Path, mapping: Mapping) -> Iterator[Row]:
    names = [it.lower() for it in path.suffixes]
    kind = names[-2] if names[-1:] == [".gz"] and len(names) > 1 else names[-1] if names else ""
    if kind == ".csv":
        return _csv(path, mapping)
    if kind in (".ndjson", ".jsonl"):
        return _ndjson(path, mapping)
    if kind in (".vcf", ".vcard"):
        return _vcards(path)
    raise BadFile(f"{path.name}: not a .csv, .ndjson, .jsonl or .vcf file (.gz may follow)")


@contextmanager
def _bytes(path: Path) -> Iterator[Any]:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield file
    except (OSError, EOFError) as error:
        raise BadFile(f"{path.name}: {getattr(error, 'strerror', None) or 'cannot be read'}") from error


@contextmanager
def _text(path: Path, encoding: str) -> Iterator[TextIO]:
    with _bytes(path) as file:
        try:
            yield io.TextIOWrapper(file, encoding=encoding, newline="")
        except UnicodeDecodeError as error:
            raise BadFile(f"{path.name}: not {encoding} text (the mapping may name its encoding)") from error


def _csv(path: Path, mapping: Mapping) -> Iterator[Row]:
    csv.field_size_limit(CELL_CHARACTERS_MAX)
    with _text(path, mapping.encoding) as file:
        lines = csv.reader(file, skipinitialspace=True, strict=True)
        header = [it.strip() for it in _line(lines, path) or ()]
        _check_header(path, header, mapping)
        number = 0
        while (cells := _line(lines, path)) is not None:
            if not cells:
                continue
            number += 1
            if len(cells) != len(header):
                fault = Reason("row", f"has {len(cells)} cells where the header has {len(header)}")
                yield Row(number, {}, fault)
            else:
                yield Row(number, dict(zip(header, map(str.strip, cells), strict=True)))


def _line(lines: Iterator[list[str]], path: Path) -> list[str] | None:
    try:
        return next(lines, None)
    except csv.Error as error:
        raise BadFile(f"{path.name}: not CSV: {error}") from error


def _check_header(path: Path, header: Sequence[str], mapping: Mapping) -> None:
    if len(set(header)) != len(header):
        raise BadFile(f"{path.name}: two columns have the same name")
    joined = tuple(it.prefix for it in mapping.joins)
    needed = {it for it in mapping.reads() if not (joined and it.startswith(joined))}
    needed |= {it.column for it in mapping.joins}
    missing = sorted(needed - set(header))
    if missing and not mapping.columns_may_be_absent:
        raise BadFile(f"{path.name}: has no column {', '.join(missing)}, which the mapping reads")


def _ndjson(path: Path, mapping: Mapping) -> Iterator[Row]:
    with _text(path, mapping.encoding) as file:
        number = 0
        for line in file:
            if not line.strip():
                continue
            number += 1
            try:
                document = json.loads(line, parse_float=str, parse_int=str)
                json.dumps(
                    document, ensure_ascii=False
                ).encode()  # refuses lone surrogates, which no UTF-8 holds
            except ValueError:
                document = None
            if isinstance(document, dict):
                yield Row(number, dict(_flattened(document)))
            else:
                yield Row(number, {}, Reason("row", "is not a JSON object"))


def _flattened(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield prefix + name, ";".join(str(it) for it in value)
        elif value is not None:
            yield prefix + name, (str(value).lower() if isinstance(value, bool) else str(value)).strip()


def _vcards(path: Path) -> Iterator[Row]:
    from infra.importing.vcards import cards  # here: vobject takes long to load, and few files need it

    with _bytes(path) as file:
        for number, card in enumerate(cards(file.read()), 1):
            unreadable = tuple(Reason(it, "cannot be read in its encoding") for it in card.unreadable)
            yield Row(number, card.values, omitted=unreadable)


def _lookup(path: Path, join: Join, mapping: Mapping) -> dict[str, dict[str, str]]:
    free = mapping.model_copy(update={"columns_may_be_absent": True, "joins": ()})
    found = {}
    for row in _plain(path, free):
        named = {join.prefix + column: value for column, value in row.values.items()}
        found[row.values.get(join.matches, "")] = named
    return found


def _joined(rows: Iterator[Row], join: Join, others: dict[str, dict[str, str]]) -> Iterator[Row]:
    for row in rows:
        row.values.update(others.get(row.values.get(join.column, ""), {}))
        yield row
