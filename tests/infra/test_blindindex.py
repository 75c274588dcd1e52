"""The blind index: the same value is found again, and nothing else is."""

import hmac
import pickle

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


def test_the_digest_is_an_hmac_of_both_here_and_in_another_process() -> None:
    index = HmacBlindIndex(KEY)
    for value in ("", "a@b.c", "ü" * 200):
        wanted = hmac.digest(KEY.secret, b"lethe/blind/1\0\0\x05email" + value.encode(), "sha256")
        assert index.digest("email", value) == wanted
        assert pickle.loads(pickle.dumps(index)).digest("email", value) == wanted  # noqa: S301 - our own
