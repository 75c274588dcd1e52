"""The page that maps laws and standards to commands and addresses names only those that there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from infra.__main__ import load
from infra.cli.command import lethe
from infra.http.app import routed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compliance.md").read_text()
load()
SPANS = sorted(set(re.findall(r"`([^`]+)`", PAGE)))


def commands(group: Any, path: tuple[str, ...] = ("lethe",)) -> Iterator[str]:
    for name, it in group.commands.items():
        yield " ".join((*path, name))
        if hasattr(it, "commands"):
            yield from commands(it, (*path, name))


@pytest.mark.parametrize("named", [it for it in SPANS if it.startswith("lethe ")])
def test_every_command_on_the_page_exists(named: str) -> None:
    assert named in set(commands(typer.main.get_command(lethe)))


@pytest.mark.parametrize("named", [it for it in SPANS if re.match(r"(GET|POST|PUT|DELETE) /", it)])
def test_every_address_on_the_page_exists(named: str) -> None:
    method, _, address = named.partition(" ")
    path, _, query = address.partition("?")
    operation = routed().openapi()["paths"][path][method.lower()]
    asked = {it.partition("=")[0] for it in query.split("&") if it}
    assert asked <= {it["name"] for it in operation.get("parameters", [])}


@pytest.mark.parametrize("named", [it for it in SPANS if it.startswith("make ")])
def test_every_make_target_on_the_page_exists(named: str) -> None:
    assert f"\n{named.split()[1]}:" in (ROOT / "Makefile").read_text()


def test_the_page_never_promises_anonymity() -> None:
    claims = [line for line in PAGE.splitlines() if "anonymi" in line.lower()]
    assert all("nothing here is anonymised" in line for line in claims)
