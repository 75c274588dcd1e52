"""The published contracts in the repository: what they must say of this release, and whether they may.

`docs/contracts` is what subscribers go by, so it is also what the classes are held to. An event that was
never released may be changed: delete its published schema first, and it is new again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from domain.catalogue import EVENTS
from domain.model import Event
from infra.contracts import compatibility as rules
from infra.contracts.compatibility import Breach, breaches, breaches_of_state
from infra.contracts.contracts import Contracts, former
from infra.contracts.shapes import Shape
from infra.contracts.typed import typed_events

ROOT: Final = Path(__file__).parents[2]
EVENTS_FOLDER: Final = Path("docs/contracts/events")
STATES_FOLDER: Final = Path("docs/contracts/states")
ASYNCAPI: Final = Path("docs/contracts/asyncapi.json")
DIGESTS: Final = Path("docs/contracts/golden.sha256")
GOLDEN: Final = Path("tests/domain/golden")
FORMER: Final = Path("infra/contracts/former")
TYPED: Final = Path("infra/subscriber/lethe_subscriber/events.py")

Key = tuple[str, int]


class Publication:
    """The contracts of this release beside those published under `root`."""

    def __init__(
        self,
        streams: Mapping[str, str],
        states: Sequence[Shape],
        root: Path = ROOT,
        events: Mapping[str, type[Event]] = EVENTS,
    ) -> None:
        self._root = root
        self._events = events
        self._current = {type: it.class_version for type, it in events.items()}
        self._kept = former(root / FORMER)
        self.published = {key_of(it): it for it in _documents(root / EVENTS_FOLDER)}
        self._published_states = {key_of(it): it for it in _documents(root / STATES_FOLDER)}
        # What gets a successor just now is kept from here on: no class tells of it any more.
        succeeded = {
            it: schema for it, schema in self.published.items() if it[1] < self._current.get(it[0], 0)
        }
        self._contracts = Contracts(streams, states, "main", events=events, before=succeeded | self._kept)

    def breaches(self) -> Iterator[Breach]:
        """Every rule that this release breaks for who goes by what is published."""
        latest = dict(sorted(self.published))
        for type, version in latest.items():
            if type not in self._current:
                yield Breach(type, version, rules.TYPE_REMOVED)
            else:
                yield from self._of_versions(type, version)
        for type, current in self._current.items():
            if type not in latest and any((type, it) not in self._kept for it in range(1, current)):
                yield Breach(type, current, rules.VERSION_SKIPPED)
        yield from self._of_states()
        yield from self._of_golden_files()

    def _of_versions(self, type: str, latest: int) -> Iterator[Breach]:
        """Of a type that is published already, up to the version `latest`."""
        current = self._current[type]
        for version in range(1, latest):
            if (type, version) not in self.published or (type, version) not in self._kept:
                yield Breach(type, version, rules.VERSION_REMOVED)
            elif self.published[type, version] != self._kept[type, version]:
                yield Breach(type, version, rules.VERSION_EDITED)
        if current < latest:
            yield Breach(type, current, rules.VERSION_REUSED)
        elif current > latest + 1:
            yield Breach(type, current, rules.VERSION_SKIPPED)
        else:
            yield from breaches(self.published[type, latest], self._contracts.schemas[type, current])
        for version in range(1, current):
            if not hasattr(self._events[type], f"upcast_v{version}_v{version + 1}"):
                yield Breach(type, version + 1, rules.UPCASTER_MISSING)

    def _of_states(self) -> Iterator[Breach]:
        """The states of views, each against the newest version that is published."""
        latest = dict(sorted(self._published_states))
        for schema in self._contracts.states:
            type, version = key_of(schema)
            if version < latest.get(type, 0):
                yield Breach(type, version, rules.VERSION_REUSED)
            elif version == latest.get(type):
                yield from breaches_of_state(self._published_states[type, version], schema)

    def _of_golden_files(self) -> Iterator[Breach]:
        """Golden files of published versions are as they were; `tests/domain` has one for every version."""
        for name, digest in self._digests().items():
            file = self._root / GOLDEN / name
            if key_of_golden(name) in self.published and (not file.exists() or _sha256(file) != digest):
                yield Breach(*key_of_golden(name), rules.GOLDEN_EDITED, name)

    def _digests(self) -> dict[str, str]:
        """The published digests of golden files, by name."""
        file = self._root / DIGESTS
        lines = file.read_text().splitlines() if file.exists() else []
        return {line.rpartition("/")[2]: line.partition(" ")[0] for line in lines}

    def expected(self) -> dict[Path, str]:
        """Every published file as it must be, by its path in the repository."""
        schemas = self._contracts.schemas
        present = {it: schema for it, schema in schemas.items() if it[1] == self._current[it[0]]}
        files = {EVENTS_FOLDER / file_of(it): _written(schema) for it, schema in schemas.items()}
        files |= {FORMER / file_of(it): _written(schemas[it]) for it in schemas.keys() - present.keys()}
        files |= {STATES_FOLDER / file_of(key_of(it)): _written(it) for it in self._contracts.states}
        files[ASYNCAPI] = _written(self._contracts.asyncapi)
        files[TYPED] = typed_events(present.values())
        golden = sorted((self._root / GOLDEN).glob("*.json"))
        files[DIGESTS] = "".join(f"{_sha256(it)}  {GOLDEN / it.name}\n" for it in golden)
        return files

    def stale(self) -> dict[Path, str]:
        """The published files that do not say what they must, with what that is."""
        return {
            path: text
            for path, text in self.expected().items()
            if not (self._root / path).exists() or (self._root / path).read_text() != text
        }

    def publish(self) -> list[Path]:
        """Write what is stale. Only where nothing is broken."""
        stale = self.stale()
        for path, text in stale.items():
            (self._root / path).parent.mkdir(parents=True, exist_ok=True)
            (self._root / path).write_text(text)
        return list(stale)


def key_of(schema: Shape) -> Key:
    """Type and version."""
    return schema["x-type"], schema["x-version"]


def file_of(key: Key) -> str:
    """The name of a schema's file."""
    return f"{key[0]}.v{key[1]}.json"


def key_of_golden(name: str) -> Key:
    """Type and version of a golden file: `<type>.v<n>.json`, or `<type>.v<n>-<words>.json` of an addition."""
    type, _, rest = name.removesuffix(".json").rpartition(".v")
    return type, int(rest.partition("-")[0])


def _documents(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(it.read_bytes()) for it in sorted(folder.glob("*.json"))]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _written(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
