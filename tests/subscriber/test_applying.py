"""Events as no source should deliver them, and handlers that fail: what is applied, and what waits."""

from typing import Any

import pytest
from lethe_subscriber import Gap, HandlerEndedTransaction, NoSuchLetter, NotFirst, SubscriberError
from lethe_subscriber.events import TicketAssigned, TicketClosed, TicketReopened

from tests.subscriber.conftest import MakeStore
from tests.subscriber.listed import NOTES, A, B, C, ListedSource, Noting, received

TYPES = (TicketClosed, TicketReopened)


def noting(make_store: MakeStore, *events: Any, **how: Any) -> Noting:
    return Noting(ListedSource(*events, **how), make_store(NOTES), TYPES)


def letters(it: Noting) -> list[tuple[str, int, str]]:
    return [(letter.aggregate_id, letter.version, letter.cause) for letter in it.subscriber.dead_letters()]


def test_each_event_is_handled_once_however_often_it_comes(make_store: MakeStore) -> None:
    one, two, other = received(A, 1), received(A, 2), received(B, 1)
    it = noting(make_store, one, one, other, two, one, two, other, page=2)
    it.run()
    it.run()
    assert it.noted() == [(A, 1), (B, 1), (A, 2)]
    assert (it.subscriber.counts.handled, it.subscriber.counts.repeated) == (3, 4)


def test_a_subscriber_goes_on_where_it_ended(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 1))
    it.run()
    it.source.events.append(received(A, 2))
    again = Noting(it.source, make_store(NOTES), TYPES)
    again.run()
    assert again.noted() == [(A, 1), (A, 2)]
    assert again.subscriber.counts.handled == 1


def test_another_name_begins_from_the_beginning(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 1))
    it.run()
    other = Noting(it.source, make_store(NOTES), TYPES, name="other")
    other.run()
    assert it.noted() == [(A, 1), (A, 1)]


def test_an_event_that_fails_is_parked_with_the_later_ones_of_its_record_and_no_others(
    make_store: MakeStore,
) -> None:
    it = noting(make_store, received(A, 1), received(A, 2), received(B, 1), received(A, 3), received(B, 2))
    it.poison = {(A, 2)}
    it.run()
    assert it.noted() == [(A, 1), (B, 1), (B, 2)]
    assert letters(it) == [(A, 2, "failed"), (A, 3, "behind")]
    assert it.subscriber.counts.parked == 2


def test_a_letter_says_what_was_raised_and_where_but_never_its_text(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 1))
    it.poison = {(A, 1)}
    it.run()
    (letter,) = it.subscriber.dead_letters()
    assert letter.error.startswith("ValueError at listed.py:")
    assert "Quirin" not in str(letter)
    assert (letter.type, letter.attempts, letter.event.version) == ("ticket.closed", 1, 1)


def test_what_is_parked_is_applied_in_order_once_the_cause_is_gone(make_store: MakeStore) -> None:
    it = noting(make_store, *(received(A, version) for version in (1, 2, 3, 4)))
    it.poison = {(A, 2)}
    it.run()
    first = it.subscriber.dead_letters()[0]
    assert it.subscriber.retry(first.id) == 0
    assert it.subscriber.dead_letters()[0].attempts == 2
    it.poison = set()
    assert it.subscriber.retry(first.id) == 3
    assert it.noted() == [(A, 1), (A, 2), (A, 3), (A, 4)]
    assert letters(it) == []
    it.source.events.append(received(A, 5))
    it.run()
    assert it.noted()[-1] == (A, 5)


def test_draining_ends_at_the_next_event_that_fails(make_store: MakeStore) -> None:
    it = noting(make_store, *(received(A, version) for version in (1, 2, 3)))
    it.poison = {(A, 1), (A, 3)}
    it.run()
    it.poison = {(A, 3)}
    assert it.subscriber.retry(it.subscriber.dead_letters()[0].id) == 2
    assert letters(it) == [(A, 3, "failed")]


def test_what_is_skipped_stays_with_its_reason_and_the_others_go_on(make_store: MakeStore) -> None:
    it = noting(make_store, *(received(A, version) for version in (1, 2, 3)))
    it.poison = {(A, 1)}
    it.run()
    first = it.subscriber.dead_letters()[0]
    assert it.subscriber.skip(first.id, "twice by the import") == 2
    assert it.noted() == [(A, 2), (A, 3)]
    (skipped,) = it.subscriber.dead_letters(skipped=True)
    assert (skipped.id, skipped.skipped_because) == (first.id, "twice by the import")
    with pytest.raises(NoSuchLetter):
        it.subscriber.retry(first.id)


def test_only_the_first_letter_of_a_record_is_settled(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 1), received(A, 2))
    it.poison = {(A, 1)}
    it.run()
    second = it.subscriber.dead_letters()[1]
    with pytest.raises(NotFirst):
        it.subscriber.skip(second.id, "no")
    with pytest.raises(NotFirst):
        it.subscriber.retry(second.id)
    with pytest.raises(NoSuchLetter):
        it.subscriber.retry("none")


def test_a_gap_is_never_passed_over(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 1), received(A, 4), received(A, 5), received(B, 1), received(C, 2))
    it.run()
    assert it.noted() == [(A, 1), (B, 1)]
    assert letters(it) == [(A, 4, "gap"), (A, 5, "behind"), (C, 2, "gap")]
    assert [it.error for it in it.subscriber.dead_letters()][::2] == [
        "versions 2 to 3 are missing",
        "version 1 is missing",
    ]
    with pytest.raises(Gap):
        it.subscriber.retry(it.subscriber.dead_letters()[0].id)


def test_a_gap_that_is_closed_later_heals_by_itself(make_store: MakeStore) -> None:
    it = noting(make_store, *(received(A, version) for version in (1, 5, 4, 6, 3, 2)), page=2)
    it.run()
    assert it.noted() == [(A, version) for version in range(1, 7)]
    assert letters(it) == []


def test_a_gap_can_be_accepted(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 1), received(A, 4), received(A, 5))
    it.run()
    assert it.subscriber.retry(it.subscriber.dead_letters()[0].id, despite_gap=True) == 2
    assert it.noted() == [(A, 1), (A, 4), (A, 5)]


def test_a_partial_source_brings_gaps_and_still_an_order(make_store: MakeStore) -> None:
    it = noting(make_store, *(received(A, it) for it in (3, 7, 3, 7, 9, 12)), partial=True)
    it.poison = {(A, 9)}
    it.run()
    assert it.noted() == [(A, 3), (A, 7)]
    it.poison = set()
    assert it.subscriber.retry(it.subscriber.dead_letters()[0].id) == 2
    assert it.noted() == [(A, 3), (A, 7), (A, 9), (A, 12)]


def test_a_source_that_begins_later_has_no_gap_before_it_but_after(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 5), received(A, 6), received(A, 8), later=True)
    it.run()
    assert it.noted() == [(A, 5), (A, 6)]
    assert letters(it) == [(A, 8, "gap")]


def test_unknown_types_and_those_without_a_handler_are_passed_over_and_leave_no_gap(
    make_store: MakeStore,
) -> None:
    events = received(A, 1, "ticket.resolved"), received(A, 2, "ticket.beamed_up"), received(A, 3)
    it = noting(make_store, *events)
    it.run()
    assert it.noted() == [(A, 3)]
    assert (it.subscriber.counts.passed_over, it.subscriber.counts.unknown) == (2, 1)


def test_a_newer_form_of_an_event_that_is_handled_is_parked_and_not_guessed_at(
    make_store: MakeStore,
) -> None:
    it = noting(make_store, received(A, 1, schema=2), received(B, 1, "ticket.resolved", schema=9))
    it.run()
    (letter,) = it.subscriber.dead_letters()
    assert letter.error == "ticket.closed version 2: this client knows 1"
    assert it.noted() == []


def test_an_event_that_is_not_of_its_form_is_parked(make_store: MakeStore) -> None:
    it = Noting(ListedSource(received(A, 1, "ticket.assigned")), make_store(NOTES), [TicketAssigned])
    it.run()
    assert it.subscriber.dead_letters()[0].error == "ticket.assigned lacks team"


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
def test_a_handler_that_ends_the_transaction_ends_the_subscriber(
    make_store: MakeStore, statement: str
) -> None:
    store = make_store(NOTES)
    it = Noting(ListedSource(received(A, 1, "ticket.assigned", team="x")), store, TYPES)
    it.subscriber.on(TicketAssigned)(lambda event, db: db.execute(statement))
    with pytest.raises(HandlerEndedTransaction):
        it.run()


def test_a_type_has_one_handler(make_store: MakeStore) -> None:
    it = noting(make_store)
    with pytest.raises(SubscriberError):
        it.subscriber.on(TicketClosed)(lambda event, db: None)


def test_whole_streams_are_asked_for(make_store: MakeStore) -> None:
    it = noting(make_store)
    it.run()
    assert it.source.streams == ["tickets"]


def test_a_stop_from_a_handler_keeps_what_is_done_and_no_more(make_store: MakeStore) -> None:
    it = noting(make_store, received(A, 1), received(A, 2, "ticket.assigned", team="x"), received(A, 3))
    it.subscriber.on(TicketAssigned)(lambda event, db: it.subscriber.stop())
    it.run()
    assert it.noted() == [(A, 1)]
    it.run()
    assert it.noted() == [(A, 1), (A, 3)]
