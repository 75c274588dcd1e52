"""Dependencies: pyproject.toml asks for what is imported, and requirements.lock holds it, with hashes."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("domain", "projections", "services", "infra")
CLIENT = "infra/subscriber"
"""A distribution of its own."""


def project(folder: str = ".") -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / folder / "pyproject.toml").read_text())


def asked_by_client() -> list[str]:
    settings = project(CLIENT)["project"]
    extras = settings["optional-dependencies"].values()
    return [*settings["dependencies"], *(it for extra in extras for it in extra)]


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
        *asked_by_client(),
    ]
    for requirement in map(Requirement, asked):
        pin = pins[canonicalize_name(requirement.name)].split()[0]
        assert requirement.specifier.contains(pin), f"{requirement} is locked at {pin}: run `make lock`"


def test_every_locked_package_has_its_hashes() -> None:
    assert len(locked()) > 50
    assert [name for name, text in locked().items() if "--hash=sha256:" not in text] == []


def imported(packages: tuple[str, ...], *, but: str | None = None) -> Iterator[str]:
    """Top-level names that the packages import, ours and the standard library's left out."""
    ours = sys.stdlib_module_names | {*PACKAGES, "tests", "lethe_subscriber"}
    for file in (file for package in packages for file in (REPOSITORY / package).rglob("*.py")):
        if but is not None and file.is_relative_to(REPOSITORY / but):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [it.name for it in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            yield from {name.split(".")[0] for name in names} - ours


@pytest.mark.parametrize(("packages", "groups"), [(PACKAGES, ()), (("tests",), ("dev",))])
def test_whatever_is_imported_is_asked_for(packages: tuple[str, ...], groups: tuple[str, ...]) -> None:
    settings = project()
    asked = [
        *settings["project"]["dependencies"],
        *(it for g in groups for it in settings["dependency-groups"][g]),
    ]
    assert unasked(imported(packages, but=CLIENT), asked) == set()


def test_whatever_the_client_imports_it_asks_for_itself() -> None:
    assert unasked(imported((CLIENT,)), asked_by_client()) == set()


def unasked(imports: Iterator[str], asked: Iterable[str]) -> set[str]:
    """Those of the imports that no distribution asked for provides."""
    names = {canonicalize_name(Requirement(it).name) for it in asked}
    providers = packages_distributions()
    return {it for it in imports if not names & {canonicalize_name(name) for name in providers.get(it, ())}}
