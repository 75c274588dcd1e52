"""Rows become drafts: typed, keyed, and refused by field and rule."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from domain.values import CustomerKind, Money
from infra.importing.drafts import Draft, Rejected
from infra.importing.rows import Reason
from tests.importing.drafted import drafts_of, written

HEAD = "key,name,email,phone,lawful_basis,purpose\n"


def customer(folder: Path, row: str, head: str = HEAD) -> Draft | Rejected:
    (only,) = drafts_of(written(folder, "customers.csv", head + row + "\n"), "customers")
    return only


def test_a_row_becomes_a_record_with_typed_fields(tmp_path: Path) -> None:
    draft = customer(tmp_path, "7,Ada,ada@Example.COM,+44 20 7946 0000,contract,sales")
    assert isinstance(draft, Draft)
    assert draft.commands[0].fields == {
        "kind": CustomerKind.PERSON,
        "source": "import",
        "lawful_basis": "contract",
        "purpose": "sales",
        "name": "Ada",
        "email": "ada@example.com",
        "phone": "+442079460000",
    }


@pytest.mark.parametrize(
    ("row", "field", "rule"),
    [
        ("7,Ada,nobody,,contract,sales", "email", "not an e-mail address"),
        ("7,Ada,,12,contract,sales", "phone", "not a phone number with its country code"),
        ("7,Ada,,,because,sales", "lawful_basis", "not one of consent"),
        ("7,Ada,,,,sales", "lawful_basis", "missing"),
        ("7,Ada,,,contract,", "purpose", "missing"),
        (f"7,{'x' * 501},,,contract,sales", "name", "longer than 500 characters"),
        ("7,A\0,,,contract,sales", "name", "holds a NUL character"),
        (",Ada,,,contract,sales", "key", "missing, and it identifies the record"),
    ],
)
def test_a_bad_row_is_rejected_with_the_field_and_the_rule_but_not_the_value(
    tmp_path: Path, row: str, field: str, rule: str
) -> None:
    rejected = customer(tmp_path, row)
    assert isinstance(rejected, Rejected)
    (reason,) = rejected.reasons
    assert reason.field == field
    assert reason.rule.startswith(rule)
    assert "nobody" not in reason.rule
    assert "because" not in reason.rule


def test_all_faults_of_a_row_are_told_at_once(tmp_path: Path) -> None:
    rejected = customer(tmp_path, "7,Ada,nobody,12,contract,sales")
    assert isinstance(rejected, Rejected)
    assert [it.field for it in rejected.reasons] == ["email", "phone"]


def test_a_time_in_the_future_is_rejected(tmp_path: Path) -> None:
    rejected = customer(
        tmp_path, "7,Ada,contract,sales,2027-01-01", "key,name,lawful_basis,purpose,occurred_at\n"
    )
    assert rejected == Rejected(1, [Reason("at", "lies in the future")])


def test_the_same_key_gives_the_same_ids_in_any_file_and_another_content_another_digest(
    tmp_path: Path,
) -> None:
    first = customer(tmp_path, "7,Ada,,,contract,sales")
    again = customer(tmp_path, "7,Ada,contract,sales", "key,name,lawful_basis,purpose\n")
    other = customer(tmp_path, "7,Alan,,,contract,sales")
    assert isinstance(first, Draft)
    assert first == again
    assert isinstance(other, Draft)
    assert (other.id, other.command_id) == (first.id, first.command_id)
    assert other.digest != first.digest


def test_an_imported_id_is_a_custom_uuid_of_rfc_9562(tmp_path: Path) -> None:
    draft = customer(tmp_path, "7,Ada,,,contract,sales")
    assert isinstance(draft, Draft)
    assert (draft.id.version, draft.id.variant) == (8, "specified in RFC 4122")


def test_a_field_that_may_be_omitted_is_left_out_and_told(tmp_path: Path) -> None:
    head = "rec_id,given_name,surname,street_number,address_1,address_2,suburb,postcode,state,date_of_birth\n"
    path = written(tmp_path, "people.csv", head + "r1,ada,king,,,,,,,19501331\n")
    told, draft = drafts_of(path, "febrl-people")
    assert told == Rejected(1, [Reason("born_on", "not a date of the form %Y%m%d")], omitted=True)
    assert isinstance(draft, Draft)
    assert draft.commands[0].fields["name"] == "Ada King"
    assert "born_on" not in draft.commands[0].fields


SALES = "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"


def lead(folder: Path, row: str) -> Draft:
    written(folder, "accounts.csv", "account,office_location\nIsdom,Philipines\n")
    (only,) = drafts_of(written(folder, "sales_pipeline.csv", SALES + row + "\n"), "maven-leads")
    assert isinstance(only, Draft)
    return only


def test_a_won_sale_is_captured_contacted_and_won_at_the_files_times(tmp_path: Path) -> None:
    draft = lead(tmp_path, "1C1,Ada,GTXPro,Isdom,Won,2016-10-20,2017-03-01,1054")
    engaged, closed = datetime(2016, 10, 20, tzinfo=UTC), datetime(2017, 3, 1, tzinfo=UTC)
    assert [(it.verb, it.at) for it in draft.commands] == [
        ("capture", engaged),
        ("contact", engaged),
        ("win", closed),
    ]
    assert draft.commands[0].fields["product"] == "GTX Pro"
    assert draft.commands[0].fields["country"] == "PH"
    assert draft.commands[2].fields["value"] == Money(amount=Decimal(1054), currency="USD")


def test_a_prospect_without_dates_happens_at_the_time_of_the_import(tmp_path: Path) -> None:
    (command,) = lead(tmp_path, "1C1,Ada,GTXPro,Isdom,Prospecting,,,").commands
    assert (command.verb, command.at) == ("capture", None)


def test_a_lead_names_the_customer_and_the_owner_that_their_own_files_make(tmp_path: Path) -> None:
    fields = lead(tmp_path, "1C1,Ada,GTXPro,Isdom,Prospecting,,,").commands[0].fields
    head = "account,sector,employees,subsidiary_of,office_location\n"
    (account,) = drafts_of(written(tmp_path, "accounts.csv", head + "Isdom,,,,\n"), "maven-accounts")
    head = "sales_agent,manager,regional_office\n"
    *_, agent = drafts_of(written(tmp_path, "sales_teams.csv", head + "Ada,Bob,West\n"), "maven-members")
    assert isinstance(account, Draft)
    assert isinstance(agent, Draft)
    assert fields["customer_id"] == account.id
    assert fields["owner_id"] == agent.id


def test_a_lead_of_an_account_shares_its_data_subject_and_one_of_nobody_has_its_own(tmp_path: Path) -> None:
    ours = lead(tmp_path, "1C1,Ada,GTXPro,Isdom,Prospecting,,,")
    another = lead(tmp_path, "1C2,Ada,GTXPro,Isdom,Prospecting,,,")
    nobodys = lead(tmp_path, "1C3,Ada,GTXPro,,Prospecting,,,")
    assert ours.subject_id == another.subject_id != nobodys.subject_id
    assert "customer_id" not in nobodys.commands[0].fields


def test_a_manager_named_by_many_is_drafted_once(tmp_path: Path) -> None:
    head = "sales_agent,manager,regional_office\n"
    path = written(tmp_path, "sales_teams.csv", head + "Ada,Bob,West\nAlan,Bob,West\n")
    names = [
        it.commands[0].fields["name"] for it in drafts_of(path, "maven-members") if isinstance(it, Draft)
    ]
    assert names == ["Bob", "Ada", "Alan"]
