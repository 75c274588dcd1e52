"""The file of what an import left out: a JSON document a line, with row, fields and rules, never values."""

from pathlib import Path
from types import TracebackType
from typing import IO, Self

from infra import json
from infra.importing.drafts import Rejected


class RejectFile:
    """Made when there is something to write; one of an earlier run is replaced, or removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    @property
    def written(self) -> bool:
        return self._file is not None

    def write(self, rejected: Rejected) -> None:
        """Note one row."""
        if self._file is None:
            self._file = self._path.open("wb")
        document = {
            "row": rejected.row,
            "imported": rejected.omitted,
            "reasons": [reason._asdict() for reason in rejected.reasons],
        }
        self._file.write(json.encode(document) + b"\n")

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
