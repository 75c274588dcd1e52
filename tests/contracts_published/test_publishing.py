"""What is published holds the classes: a change that breaks a promise stops, and one that is unpublished."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from domain.catalogue import EVENTS
from domain.model import Event
from infra.contracts import __main__ as program
from infra.contracts import compatibility as rules
from infra.contracts.compatibility import Rule
from infra.contracts.contracts import FORMER
from infra.contracts.publishing import (
    ASYNCAPI,
    DIGESTS,
    EVENTS_FOLDER,
    GOLDEN,
    ROOT,
    STATES_FOLDER,
    TYPED,
    Publication,
)
from infra.contracts.publishing import FORMER as FORMER_FOLDER
from infra.contracts.states import schema_of_state
from infra.kafka.record import STREAMS as REAL_STREAMS
from infra.stateforms import SCHEMAS
from projections.directory import MemberRow
from tests.contracts_published.changes import STREAMS, noted, public

PUBLISHING = {
    rules.TYPE_REMOVED,
    rules.VERSION_REUSED,
    rules.VERSION_SKIPPED,
    rules.VERSION_REMOVED,
    rules.VERSION_EDITED,
    rules.UPCASTER_MISSING,
    rules.GOLDEN_EDITED,
}
"""The rules that are tried here."""
NAME = "lead.noted.v1.json"


def state(version: int = 1, **members: Any) -> Any:
    """The schema of a view's states, members added, or taken away where None stands for one."""
    schema = schema_of_state("noted", MemberRow, "member", version)
    properties = {name: it for name, it in (schema["properties"] | members).items() if it is not None}
    return schema | {"properties": properties, "required": list(properties)}


def broken_by(root: Path, *states: Any) -> list[tuple[Rule, int]]:
    found = Publication(STREAMS, states, root, {"lead.noted": noted()})
    return [(it.rule, it.version) for it in found.breaches()]


def publication(root: Path, *events: type[Event]) -> Publication:
    return Publication(STREAMS, [state()], root, {it.TOPIC: it for it in events})


def broken(root: Path, *events: type[Event]) -> list[tuple[Rule, int]]:
    return [(it.rule, it.version) for it in publication(root, *events).breaches()]


def edit(file: Path, **members: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | members))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which version 1 of an event is published."""
    (tmp_path / GOLDEN).mkdir(parents=True)
    (tmp_path / GOLDEN / NAME).write_text("{}")
    publication(tmp_path, noted()).publish()
    return tmp_path


@pytest.fixture
def second(root: Path) -> Path:
    """The same when version 2 is published, too."""
    publication(root, noted(version=2)).publish()
    return root


def test_what_is_published_is_not_stale(second: Path) -> None:
    assert publication(second, noted(version=2)).stale() == {}
    assert broken(second, noted(version=2)) == []


def test_a_version_with_a_successor_is_kept_as_it_was(root: Path) -> None:
    before = (root / EVENTS_FOLDER / NAME).read_bytes()
    more = noted({"rank": public(int)}, version=2)
    publication(root, more).publish()
    assert (root / FORMER_FOLDER / NAME).read_bytes() == (root / EVENTS_FOLDER / NAME).read_bytes() == before
    assert "VERSION: ClassVar[int] = 2" in (root / TYPED).read_text()


def test_a_type_does_not_go_away(root: Path) -> None:
    other = noted(topic="ticket.noted", name="TicketNoted")
    assert broken(root, other) == [(rules.TYPE_REMOVED, 1)]


def test_a_version_is_not_given_twice(second: Path) -> None:
    assert broken(second, noted()) == [(rules.VERSION_REUSED, 1)]


def test_no_version_is_left_out(root: Path) -> None:
    assert broken(root, noted(version=3)) == [(rules.VERSION_SKIPPED, 3)]
    new = noted(version=2, topic="ticket.noted", name="TicketNoted")
    assert broken(root, noted(), new) == [(rules.VERSION_SKIPPED, 2)]


@pytest.mark.parametrize("folder", [EVENTS_FOLDER, FORMER_FOLDER])
def test_a_version_with_a_successor_does_not_go_away(second: Path, folder: Path) -> None:
    (second / folder / NAME).unlink()
    assert broken(second, noted(version=2)) == [(rules.VERSION_REMOVED, 1)]


@pytest.mark.parametrize("folder", [EVENTS_FOLDER, FORMER_FOLDER])
def test_a_version_with_a_successor_does_not_change(second: Path, folder: Path) -> None:
    edit(second / folder / NAME, description="It meant something else.")
    assert broken(second, noted(version=2)) == [(rules.VERSION_EDITED, 1)]


def test_a_new_version_comes_with_its_upcaster(root: Path) -> None:
    assert broken(root, noted(version=2, upcasters=False)) == [(rules.UPCASTER_MISSING, 2)]


def test_a_golden_file_is_not_edited(root: Path) -> None:
    golden = root / GOLDEN / NAME
    golden.write_text('{"stage": "won"}')
    assert broken(root, noted()) == [(rules.GOLDEN_EDITED, 1)]
    golden.unlink()
    assert broken(root, noted()) == [(rules.GOLDEN_EDITED, 1)]


def test_a_golden_file_of_an_addition_is_published_beside_the_first(root: Path) -> None:
    (root / GOLDEN / "lead.noted.v1-rank.json").write_text('{"rank": 3}')
    added = publication(root, noted({"rank": public(int | None, None)}))
    assert list(added.breaches()) == []
    assert DIGESTS in added.publish()
    assert (root / DIGESTS).read_text().count("lead.noted.v1") == 2


def test_an_event_that_was_never_released_may_change_once_its_schema_is_deleted(root: Path) -> None:
    changed = noted({"country": None})
    assert broken(root, changed) == [(rules.FIELD_REMOVED, 1)]
    (root / EVENTS_FOLDER / NAME).unlink()
    (root / GOLDEN / NAME).write_text('{"stage": "won"}')
    assert broken(root, changed) == []
    publication(root, changed).publish()
    assert publication(root, changed).stale() == {}


def test_a_state_keeps_its_form_within_a_version_of_its_view(root: Path) -> None:
    text = {"type": "string"}
    assert broken_by(root, state()) == []
    assert broken_by(root, state(team=None)) == [(rules.FIELD_REMOVED, 1)]
    assert broken_by(root, state(floor=text)) == [(rules.REQUIRED_ADDED, 1)]
    assert broken_by(root, state(team=text)) == [(rules.TYPE_CHANGED, 1)]
    assert broken_by(root, state(2, team=None, floor=text, office=text)) == []


def test_a_version_of_a_state_is_not_given_twice_and_stays_published(root: Path) -> None:
    later = Publication(STREAMS, [state(2)], root, {"lead.noted": noted()})
    assert {STATES_FOLDER / "state.noted.v2.json", ASYNCAPI} == set(later.publish())
    assert (root / STATES_FOLDER / "state.noted.v1.json").exists()
    assert broken_by(root, state()) == [(rules.VERSION_REUSED, 1)]


def test_a_broken_rule_is_named_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = publication(root, noted({"country": None}))
    before = {it: it.read_bytes() for it in root.rglob("*.*") if it.is_file()}
    assert program.check(changed) == program.publish(changed)
    (line,) = program.check(changed)
    assert line.startswith("lead.noted v1: field-removed: ")
    assert {it: it.read_bytes() for it in root.rglob("*.*") if it.is_file()} == before
    assert "never released" in capsys.readouterr().err


def test_an_addition_has_to_be_published(root: Path) -> None:
    added = publication(root, noted({"rank": public(int | None, None)}))
    wrong = program.check(added)
    assert f"{EVENTS_FOLDER / NAME}: not what this release says: {program.PUBLISH}" in wrong
    assert any(it.startswith(str(TYPED)) for it in wrong)
    assert program.publish(added) == []
    assert program.check(publication(root, noted({"rank": public(int | None, None)}))) == []


def test_typed_events_that_were_edited_by_hand_are_found(root: Path) -> None:
    (root / TYPED).write_text((root / TYPED).read_text().replace("tags: tuple[str, ...]", "tags: list[str]"))
    assert list(publication(root, noted()).stale()) == [TYPED]


def test_this_release_keeps_what_was_published_and_has_published_all_of_it() -> None:
    assert program.check(Publication(REAL_STREAMS, list(SCHEMAS.values()))) == []


def test_a_real_event_that_changes_stops_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (EVENTS_FOLDER.parent, GOLDEN, FORMER_FOLDER, TYPED.parent):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    won = noted({"value": None}, topic="lead.won", name="LeadWon")
    monkeypatch.setattr(
        program,
        "Publication",
        lambda streams, states: Publication(streams, states, tmp_path, {**EVENTS, "lead.won": won}),
    )
    assert program.main(["check"]) == 1
    assert "lead.won v1: field-removed: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["burn"], ["check", "publish"]])
def test_used_wrongly_it_says_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_the_versions_of_old_are_shipped_with_the_package() -> None:
    assert {it.name for it in FORMER.glob("*.json")} >= {
        "erasure.requested.v1.json",
        "subject.erased.v1.json",
    }
