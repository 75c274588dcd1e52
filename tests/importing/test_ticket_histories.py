"""The rows of one foreign ticket become its history, whatever they do."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.model import happening_at
from infra.importing.drafts import Draft, Rejected
from infra.importing.mapping import load_mapping
from tests.importing.drafted import NOW, drafts_of, written

HEAD = "ticket,changed_at,status,substatus,owner,support_team,country,product,impact\n"
MAPPING = load_mapping("bpi2013-tickets")
STATUSES = sorted(MAPPING.history.meanings) if MAPPING.history else []
Change = tuple[str, str, str]


def history(folder: Path, changes: Sequence[Change]) -> Draft:
    rows = [
        f"1,2012-05-{day:02}T10:00:00+02:00,{status.replace('/', ',')},{owner},{team},se,P1,Medium"
        for day, (status, owner, team) in enumerate(changes, 1)
    ]
    path = written(folder, "tickets.csv", HEAD + "\n".join(rows) + "\n")
    (ticket,) = [
        it for it in drafts_of(path, MAPPING) if not (isinstance(it, Draft) and it.kind == "members")
    ]
    assert isinstance(ticket, Draft)
    return ticket


def verbs(folder: Path, *changes: Change) -> list[str]:
    return [it.verb for it in history(folder, changes).commands]


def test_a_ticket_is_opened_assigned_resolved_and_closed(tmp_path: Path) -> None:
    assert verbs(
        tmp_path,
        ("Accepted/In Progress", "Ada", "V30"),
        ("Completed/Resolved", "Ada", "V30"),
        ("Completed/Closed", "Ada", "V30"),
    ) == ["open", "assign", "resolve", "close"]


def test_a_team_of_another_line_is_an_escalation(tmp_path: Path) -> None:
    changes = [("Accepted/In Progress", "Ada", "V30"), ("Accepted/In Progress", "Bob", "V5 3rd")]
    assert verbs(tmp_path, *changes) == ["open", "assign", "escalate", "assign"]


def test_a_wait_pauses_and_work_resumes(tmp_path: Path) -> None:
    assert verbs(
        tmp_path,
        ("Accepted/In Progress", "Ada", "V30"),
        ("Accepted/Wait - User", "Ada", "V30"),
        ("Accepted/Wait - Vendor", "Ada", "V30"),
        ("Accepted/In Progress", "Ada", "V30"),
    ) == ["open", "assign", "pause", "pause", "resume"]


def test_work_after_the_close_reopens(tmp_path: Path) -> None:
    assert verbs(
        tmp_path,
        ("Completed/Closed", "Ada", "V30"),
        ("Accepted/In Progress", "Ada", "V30"),
    ) == ["open", "assign", "close", "reopen"]


def test_a_row_that_changes_nothing_is_progress(tmp_path: Path) -> None:
    draft = history(tmp_path, [("Accepted/In Progress", "Ada", "V30")] * 2)
    assert draft.commands[-1].verb == "progress"
    assert draft.commands[-1].fields == {"activity": "in_progress"}


def test_a_queued_ticket_is_nobodys(tmp_path: Path) -> None:
    draft = history(tmp_path, [("Queued/Awaiting Assignment", "Ada", "V30")])
    assert draft.commands[-1].fields == {"team": "V30", "agent_id": None}


def test_an_unknown_status_rejects_the_ticket_and_names_the_row(tmp_path: Path) -> None:
    rows = "1,2012-05-01T10:00:00Z,Lost,In Space,Ada,V30,se,P1,Low\n"
    *_, rejected = drafts_of(written(tmp_path, "tickets.csv", HEAD + rows), MAPPING)
    assert isinstance(rejected, Rejected)
    assert rejected.reasons == [("status", "in row 1 has no meaning in the mapping")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(STATUSES),
            st.sampled_from(["Ada", "Bob"]),
            st.sampled_from(["V1", "V2 2nd", "V3 3rd"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_order_of_rows_is_accepted_and_each_leaves_an_event_of_its_time(
    tmp_path: Path, changes: list[Change]
) -> None:
    draft = history(tmp_path, changes)
    with happening_at(draft.commands[0].at or NOW):
        events = draft.decide().collect_events()
    days = [event.timestamp.day for event in events]
    assert days == sorted(days)
    assert set(days) == set(range(1, len(changes) + 1))
    assert len(events) == len(draft.commands)


@pytest.mark.data
def test_the_incident_file_gives_one_draft_a_ticket_and_an_event_of_each_row(shared_data: Path) -> None:
    path = shared_data / "tickets" / "bpic2013_incidents.csv.gz"
    drafts = [it for it in drafts_of(path, MAPPING) if isinstance(it, Draft)]
    tickets = [it for it in drafts if it.kind == "tickets"]
    assert len(tickets) == 7_554
    assert len(drafts) - len(tickets) == 1_440
