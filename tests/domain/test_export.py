"""The rules of an export."""

from uuid import UUID

from domain.export.aggregate import Export, ExportEnded
from domain.export.events import ExportAborted, ExportBegun, ExportMade
from domain.model import happening_at
from domain.values import ExportFormat
from tests.domain.given import ID, NOON, Given, fact

PERSON = UUID(int=9)
WHAT = {
    "what": "subject-timeline",
    "filters": {"kinds": "lead"},
    "format": ExportFormat.CSV,
    "covered_position": 4711,
    "exported_subject_id": PERSON,
}
BEGUN = fact(ExportBegun, **WHAT)
begun = Given(Export).given(BEGUN)
made = begun.given(fact(ExportMade, count=3, byte_count=512, sha256="ab", **WHAT))
aborted = begun.given(fact(ExportAborted, count=1, byte_count=20, exported_subject_id=PERSON))


def test_an_export_is_recorded_before_it_leaves() -> None:
    Given(Export).when_made(lambda: Export.begin(id=ID, **WHAT)).then(BEGUN)  # type: ignore[arg-type]


def test_a_made_export_says_all_that_a_proof_needs() -> None:
    begun.when(lambda it: it.complete(count=3, byte_count=512, sha256="ab")).then(
        fact(ExportMade, count=3, byte_count=512, sha256="ab", **WHAT)
    )


def test_an_export_that_broke_off_says_how_much_was_handed_over() -> None:
    begun.when(lambda it: it.abort(count=1, byte_count=20)).then(
        fact(ExportAborted, count=1, byte_count=20, exported_subject_id=PERSON)
    )


def test_an_export_ends_once() -> None:
    made.when(lambda it: it.complete(count=3, byte_count=512, sha256="ab")).then()
    aborted.when(lambda it: it.abort(count=1, byte_count=20)).then()


def test_an_export_does_not_end_in_two_ways() -> None:
    made.when(lambda it: it.abort(count=1, byte_count=20)).refused(ExportEnded)
    aborted.when(lambda it: it.complete(count=3, byte_count=512, sha256="ab")).refused(ExportEnded)


def test_what_is_written_about_an_export_is_sealed_under_the_export_itself() -> None:
    with happening_at(NOON):
        export = Export.begin(id=ID, **WHAT)  # type: ignore[arg-type]
    assert export.subject_id == ID
    assert {it.record_subject for it in export.collect_events()} == {ID}  # type: ignore[attr-defined]
