"""Contact files as real clients write them."""

from pathlib import Path

import pytest

from infra.importing.drafts import Draft
from infra.importing.vcards import cards
from tests.importing.drafted import drafts_of


def card(*lines: str, charset: str = "utf-8") -> bytes:
    return "\r\n".join(["BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD", ""]).encode(charset)


def values(data: bytes) -> dict[str, str]:
    (only,) = cards(data)
    return only.values


@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("John_Doe_ANDROID.vcf", 6),
        ("John_Doe_GMAIL.vcf", 1),
        ("John_Doe_IPHONE.vcf", 1),
        ("John_Doe_MS_OUTLOOK.vcf", 1),
        ("gmail-list.vcf", 3),
        ("outlook-2003.vcf", 1),
        ("rfc6350-example.vcf", 1),
    ],
)
def test_every_card_of_a_real_client_is_read(shared_data: Path, name: str, people: int) -> None:
    drafts = [it for it in drafts_of(shared_data / "vcards" / name, "vcards") if isinstance(it, Draft)]
    assert len(drafts) == people
    assert all(it.commands[0].fields["name"] for it in drafts)


def test_outlook_of_2003_is_read_whole(shared_data: Path) -> None:
    assert values((shared_data / "vcards" / "outlook-2003.vcf").read_bytes()) == {
        "name": "John Doe III",
        "organisation": "Company, The",
        "title": "The Job Title",
        "email": "jdoe@hotmail.com",
        "phone": "BusinessPhone",
        "address": "TheOffice\n123 Main St\n12345 Austin TX\nUnited States of America",
        "born_on": "19800321",
        "note": "This is the note field!!\nSecond line\n\nThird line is empty",
    }


def test_an_android_card_with_a_cut_off_line_loses_only_that_line(shared_data: Path) -> None:
    *_, last = cards((shared_data / "vcards" / "John_Doe_ANDROID.vcf").read_bytes())
    assert last.unreadable == ["org"]
    assert last.values["name"] == "ÑÑÑÑ"
    assert last.values["email"] == "henry@company.com"


def test_the_full_name_keeps_its_commas() -> None:
    assert values(card("FN:Richter\\, John"))["name"] == "Richter, John"


def test_without_a_full_name_the_parts_are_put_together() -> None:
    assert values(card("N:Doe;John;Q.;Dr.;Jr."))["name"] == "Dr. John Q. Doe Jr."


def test_the_preferred_number_is_taken_and_a_fax_never_before_a_phone() -> None:
    found = values(card("FN:A", "TEL;TYPE=FAX,PREF:1", "TEL;TYPE=HOME:2", "TEL;TYPE=WORK,PREF:3"))
    assert found["phone"] == "3"


def test_the_order_of_preference_of_version_4_is_kept() -> None:
    found = values(card("FN:A", "EMAIL;PREF=2:second@example.com", "EMAIL;PREF=1:first@example.com"))
    assert found["email"] == "first@example.com"


def test_text_without_a_charset_that_is_not_utf8_is_western() -> None:
    assert values(card("FN:Zoë", charset="cp1252"))["name"] == "Zoë"


def test_a_charset_beside_the_value_is_obeyed() -> None:
    assert values(card("FN;CHARSET=ISO-8859-2:Łukasz", charset="iso-8859-2"))["name"] == "Łukasz"


def test_a_file_in_utf16_is_read() -> None:
    assert values(card("FN:Zoë").decode().encode("utf-16"))["name"] == "Zoë"
