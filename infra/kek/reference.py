"""From a reference, as the settings have it, to the place where the KEKs are."""

from pathlib import Path
from urllib.parse import urlsplit

from infra.kek.file import FileKekPlace
from infra.kek.keys import KekPlace, KekUnusable

FORMS = "file:PATH or vault:https://HOST:PORT/MOUNT/KEY"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_reference(text: str) -> bool:
    """Whether it has the form of one of the references that have an adapter.

    Vault is spoken to in TLS, but on the machine itself: what is sent are data keys in clear.
    """
    scheme, _, rest = text.partition(":")
    if scheme == "file":
        return bool(rest)
    url = urlsplit(rest)
    return (
        scheme == "vault"
        and (url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK))
        and bool(url.hostname)
        and len([part for part in url.path.split("/") if part]) > 1
        and not (url.username or url.password or url.query or url.fragment)
    )


def open_keks(reference: str, *, vault_token: str | None = None) -> KekPlace:
    """The place that the reference names. Nothing is read or made yet. Raises `KekUnusable`."""
    scheme, _, rest = reference.partition(":")
    if not is_reference(reference):
        raise KekUnusable(f"no adapter for the KEK reference {scheme!r}: use {FORMS}")
    if scheme == "file":
        return FileKekPlace(Path(rest))
    if vault_token is None:
        raise KekUnusable("a KEK in Vault needs a token: set LETHE_VAULT_TOKEN")
    # Only who uses it pays for its client.
    from infra.kek.vault import VaultKekPlace

    return VaultKekPlace(rest, vault_token)
