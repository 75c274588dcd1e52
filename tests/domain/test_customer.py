"""The rules of a customer."""

from typing import Any
from uuid import UUID

import pytest

from domain.customer.aggregate import (
    ContactAlreadyAdded,
    ContactNotOfCustomer,
    ContactWithoutName,
    Customer,
    CustomerIsArchived,
    OrganisationHasNoPersonalData,
    OrganisationWithoutName,
    PersonHasNoContacts,
    PersonHasNoPublicData,
    PersonWithoutName,
)
from domain.customer.events import (
    ContactAdded,
    ContactChanged,
    ContactRemoved,
    CustomerAddressChanged,
    CustomerArchived,
    CustomerAssigned,
    CustomerEmailChanged,
    CustomerNoteWritten,
    CustomerPhoneChanged,
    CustomerRegistered,
    CustomerReinstated,
    CustomerRenamed,
    CustomerSegmented,
    CustomerTagged,
)
from domain.values import CountryCode, CustomerKind, EmailAddress, LawfulBasis, PhoneNumber
from tests.domain.given import ID, SUBJECT, Given, fact

BASIS: dict[str, Any] = {"source": "fair", "lawful_basis": LawfulBasis.CONTRACT, "purpose": "orders"}
PERSON: dict[str, Any] = {"kind": CustomerKind.PERSON, "name": "Ada", **BASIS}
ORGANISATION: dict[str, Any] = {"kind": CustomerKind.ORGANISATION, "organisation": "Acme", **BASIS}
EMAIL = EmailAddress.parse("ada@example.com")
PHONE = PhoneNumber.parse("+442079460000")
ANN = UUID(int=7)

customer = Given(Customer)
person = customer.given(fact(CustomerRegistered, **PERSON))
organisation = customer.given(fact(CustomerRegistered, **ORGANISATION))
with_ann = organisation.given(fact(ContactAdded, contact_id=ANN, name="Ann"))
archived = person.given(fact(CustomerArchived))


def registering(**facts: Any) -> Any:
    return customer.when_made(lambda: Customer.register(id=ID, subject_id=SUBJECT, **facts))


def test_a_person_is_registered_with_what_we_know_of_them() -> None:
    known = {**PERSON, "born_on": "1815-12-10", "email": EMAIL, "phone": PHONE, "address": "1 Road\nTown"}
    registering(**known).then(fact(CustomerRegistered, **known))


def test_an_organisation_is_registered_with_its_public_facts() -> None:
    known = {
        **ORGANISATION,
        "sector": "tools",
        "employees": 12,
        "country": CountryCode("GB"),
        "parent": "Inc",
    }
    registering(**known).then(fact(CustomerRegistered, **known))


@pytest.mark.parametrize("name", [None, "", "  "])
def test_a_person_is_held_by_name(name: str | None) -> None:
    registering(**{**PERSON, "name": name}).refused(PersonWithoutName)
    person.when(lambda it: it.rename(name=name)).refused(PersonWithoutName)


@pytest.mark.parametrize("name", [None, "", "  "])
def test_an_organisation_is_held_by_its_name(name: str | None) -> None:
    registering(**{**ORGANISATION, "organisation": name}).refused(OrganisationWithoutName)
    organisation.when(lambda it: it.rename(organisation=name)).refused(OrganisationWithoutName)


@pytest.mark.parametrize(
    "personal",
    [{"name": "Ada"}, {"born_on": "1815-12-10"}, {"email": EMAIL}, {"phone": PHONE}, {"address": "1 Road"}],
)
def test_an_organisation_is_not_registered_with_personal_data(personal: dict[str, Any]) -> None:
    registering(**{**ORGANISATION, **personal}).refused(OrganisationHasNoPersonalData)


def test_an_organisation_gets_no_personal_data_later() -> None:
    organisation.when(lambda it: it.rename(name="Ada")).refused(OrganisationHasNoPersonalData)
    organisation.when(lambda it: it.change_email(email=EMAIL)).refused(OrganisationHasNoPersonalData)
    organisation.when(lambda it: it.change_phone(phone=PHONE)).refused(OrganisationHasNoPersonalData)
    organisation.when(lambda it: it.change_address(address="1 Road")).refused(OrganisationHasNoPersonalData)


@pytest.mark.parametrize(
    "public",
    [
        {"organisation": "Acme"},
        {"sector": "tools"},
        {"employees": 1},
        {"country": CountryCode("GB")},
        {"parent": "Inc"},
    ],
)
def test_nothing_about_a_person_is_public(public: dict[str, Any]) -> None:
    registering(**{**PERSON, **public}).refused(PersonHasNoPublicData)


def test_a_person_is_not_given_an_organisations_name() -> None:
    person.when(lambda it: it.rename(name="Ada", organisation="Acme")).refused(PersonHasNoPublicData)


def test_a_renamed_person_is_recorded_each_time_since_names_are_not_remembered() -> None:
    person.when(lambda it: it.rename(name="Ada")).then(fact(CustomerRenamed, name="Ada"))


def test_an_organisation_is_not_renamed_to_the_name_it_has() -> None:
    organisation.when(lambda it: it.rename(organisation="Acme")).then()
    organisation.when(lambda it: it.rename(organisation="Apex")).then(
        fact(CustomerRenamed, organisation="Apex")
    )
    renamed = organisation.given(fact(CustomerRenamed, organisation="Apex"))
    renamed.when(lambda it: it.rename(organisation="Apex")).then()
    renamed.when(lambda it: it.rename(organisation="Acme")).then(fact(CustomerRenamed, organisation="Acme"))


def test_a_persons_contact_details_change() -> None:
    person.when(lambda it: it.change_email(email=EMAIL)).then(fact(CustomerEmailChanged, email=EMAIL))
    person.when(lambda it: it.change_email(email=None)).then(fact(CustomerEmailChanged))
    person.when(lambda it: it.change_phone(phone=PHONE)).then(fact(CustomerPhoneChanged, phone=PHONE))
    person.when(lambda it: it.change_address(address="1 Road")).then(
        fact(CustomerAddressChanged, address="1 Road")
    )


def test_an_organisation_gets_a_contact() -> None:
    organisation.when(lambda it: it.add_contact(contact_id=ANN, name="Ann", role="buyer", email=EMAIL)).then(
        fact(ContactAdded, contact_id=ANN, name="Ann", role="buyer", email=EMAIL)
    )


def test_only_an_organisation_has_contacts() -> None:
    person.when(lambda it: it.add_contact(contact_id=ANN, name="Ann")).refused(PersonHasNoContacts)


def test_a_contact_is_added_once() -> None:
    with_ann.when(lambda it: it.add_contact(contact_id=ANN, name="Ann")).refused(ContactAlreadyAdded)


def test_a_contact_is_held_by_name() -> None:
    organisation.when(lambda it: it.add_contact(contact_id=ANN, name=" ")).refused(ContactWithoutName)
    with_ann.when(lambda it: it.change_contact(contact_id=ANN, name="")).refused(ContactWithoutName)


def test_a_contact_changes_as_a_whole() -> None:
    with_ann.when(lambda it: it.change_contact(contact_id=ANN, name="Anne", phone=PHONE)).then(
        fact(ContactChanged, contact_id=ANN, name="Anne", phone=PHONE)
    )


def test_only_a_contact_of_the_customer_is_changed() -> None:
    organisation.when(lambda it: it.change_contact(contact_id=ANN, name="Ann")).refused(ContactNotOfCustomer)


def test_a_removed_contact_may_come_back_and_is_not_removed_twice() -> None:
    without_ann = with_ann.given(fact(ContactRemoved, contact_id=ANN))
    with_ann.when(lambda it: it.remove_contact(contact_id=ANN)).then(fact(ContactRemoved, contact_id=ANN))
    without_ann.when(lambda it: it.remove_contact(contact_id=ANN)).then()
    without_ann.when(lambda it: it.add_contact(contact_id=ANN, name="Ann")).then(
        fact(ContactAdded, contact_id=ANN, name="Ann")
    )


def test_an_owner_is_assigned_once_and_may_be_taken_away() -> None:
    owned = person.given(fact(CustomerAssigned, owner_id=ANN))
    person.when(lambda it: it.assign(owner_id=ANN)).then(fact(CustomerAssigned, owner_id=ANN))
    owned.when(lambda it: it.assign(owner_id=ANN)).then()
    owned.when(lambda it: it.assign(owner_id=None)).then(fact(CustomerAssigned, owner_id=None))


def test_a_segment_is_set_once_and_may_be_taken_away() -> None:
    segmented = person.given(fact(CustomerSegmented, segment="smb"))
    person.when(lambda it: it.segment(segment="smb")).then(fact(CustomerSegmented, segment="smb"))
    segmented.when(lambda it: it.segment(segment="smb")).then()
    segmented.when(lambda it: it.segment(segment=None)).then(fact(CustomerSegmented, segment=None))


def test_tags_are_kept_sorted_each_once() -> None:
    tagged = person.given(fact(CustomerTagged, tags=("a", "b")))
    person.when(lambda it: it.tag(tags=["b", "a", "b"])).then(fact(CustomerTagged, tags=("a", "b")))
    tagged.when(lambda it: it.tag(tags=["b", "a"])).then()
    tagged.when(lambda it: it.tag(tags=[])).then(fact(CustomerTagged, tags=()))


def test_an_archived_customer_is_not_archived_again_but_reinstated() -> None:
    person.when(lambda it: it.archive()).then(fact(CustomerArchived))
    archived.when(lambda it: it.archive()).then()
    archived.when(lambda it: it.reinstate()).then(fact(CustomerReinstated))
    person.when(lambda it: it.reinstate()).then()
    archived.given(fact(CustomerReinstated)).when(lambda it: it.rename(name="Bo")).then(
        fact(CustomerRenamed, name="Bo")
    )


def test_an_archived_customer_is_reinstated_before_it_is_changed() -> None:
    archived.when(lambda it: it.rename(name="Bo")).refused(CustomerIsArchived)
    archived.when(lambda it: it.change_email(email=None)).refused(CustomerIsArchived)
    archived.when(lambda it: it.change_phone(phone=None)).refused(CustomerIsArchived)
    archived.when(lambda it: it.change_address(address=None)).refused(CustomerIsArchived)
    archived.when(lambda it: it.assign(owner_id=ANN)).refused(CustomerIsArchived)
    archived.when(lambda it: it.segment(segment="smb")).refused(CustomerIsArchived)
    archived.when(lambda it: it.tag(tags=["a"])).refused(CustomerIsArchived)
    closed = with_ann.given(fact(CustomerArchived))
    closed.when(lambda it: it.add_contact(contact_id=ID, name="Bo")).refused(CustomerIsArchived)
    closed.when(lambda it: it.change_contact(contact_id=ANN, name="Bo")).refused(CustomerIsArchived)
    closed.when(lambda it: it.remove_contact(contact_id=ANN)).refused(CustomerIsArchived)


def test_notes_are_written_on_an_archived_customer_too() -> None:
    for it in (person, archived):
        it.when(lambda it: it.write_note(text="called")).then(fact(CustomerNoteWritten, text="called"))
