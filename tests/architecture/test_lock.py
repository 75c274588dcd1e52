"""requirements.lock: holds what pyproject.toml asks for, every package with its hashes."""

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]


def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def locked() -> dict[str, str]:
    """The text of each locked package, by name; the version leads it."""
    lock = (REPOSITORY / "requirements.lock").read_text()
    parts = re.split(r"^([A-Za-z0-9._-]+)==", lock, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_everything_asked_for_is_locked_at_a_version_that_satisfies_it() -> None:
    settings, pins = project(), locked()
    asked = [
        *settings["project"]["dependencies"],
        *settings["dependency-groups"]["dev"],
        *settings["build-system"]["requires"],
    ]
    for requirement in map(Requirement, asked):
        pin = pins[canonicalize_name(requirement.name)].split()[0]
        assert requirement.specifier.contains(pin), f"{requirement} is locked at {pin}: run `make lock`"


def test_every_locked_package_has_its_hashes() -> None:
    assert len(locked()) > 50
    assert [name for name, text in locked().items() if "--hash=sha256:" not in text] == []
