"""The blind index: the same value is found again, and nothing else is."""

from infra.blindindex import HmacBlindIndex
from infra.kek import mint

KEY = mint()


def test_the_same_purpose_and_value_have_the_same_digest_under_one_key() -> None:
    assert HmacBlindIndex(KEY).digest("email", "a@b.c") == HmacBlindIndex(KEY).digest("email", "a@b.c")
    assert len(HmacBlindIndex(KEY).digest("email", "a@b.c")) == 32


def test_another_purpose_value_or_key_has_another_digest() -> None:
    index = HmacBlindIndex(KEY)
    digests = {
        index.digest("email", "a@b.c"),
        index.digest("phone", "a@b.c"),
        index.digest("email", "a@b.d"),
        index.digest("emaila", "@b.c"),
        HmacBlindIndex(mint()).digest("email", "a@b.c"),
    }
    assert len(digests) == 5
