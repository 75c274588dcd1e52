"""The rules of an erasure."""

from uuid import UUID

from domain.erasure.aggregate import Erasure
from domain.erasure.events import ErasureRequested, SubjectErased
from domain.model import happening_at
from domain.values import ErasureGround
from tests.domain.given import ID, NOON, Given, fact

PERSON = UUID(int=9)
REQUEST = fact(ErasureRequested, erased_subject_id=PERSON, ground=ErasureGround.OBJECTION)
requested = Given(Erasure).given(REQUEST)


def test_an_erasure_is_requested_on_a_ground() -> None:
    Given(Erasure).when_made(
        lambda: Erasure.request(id=ID, erased_subject_id=PERSON, ground=ErasureGround.OBJECTION)
    ).then(REQUEST)


def test_a_completed_erasure_says_which_keys_are_gone() -> None:
    requested.when(lambda it: it.complete(fingerprints=["b", "a"])).then(
        fact(SubjectErased, erased_subject_id=PERSON, fingerprints=("a", "b"))
    )


def test_an_erasure_completes_once() -> None:
    requested.given(fact(SubjectErased, erased_subject_id=PERSON, fingerprints=("a",))).when(
        lambda it: it.complete(fingerprints=[])
    ).then()


def test_what_is_written_about_an_erasure_is_sealed_under_the_request_itself() -> None:
    with happening_at(NOON):
        erasure = Erasure.request(id=ID, erased_subject_id=PERSON, ground=ErasureGround.OBJECTION)
        erasure.complete(fingerprints=[])
    assert erasure.subject_id == ID
    assert {it.record_subject for it in erasure.collect_events()} == {ID}  # type: ignore[attr-defined]
