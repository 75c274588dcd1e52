"""What an auditor downloads, and then verifies without us."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.http.samples import person
from tests.http.test_audit import proof_of


@pytest.fixture
def made(api: httpx.Client, created: Any) -> dict[str, Any]:
    """A customer whose first event is in the signed tree."""
    customer: dict[str, Any] = created("customers", person())
    proof_of(api, customer["position"])
    return customer


def verified(folder: Path, api: httpx.Client, **query: str) -> subprocess.CompletedProcess[str]:
    """Download the verifier and a bundle; what the one says of the other, alone in an empty folder."""
    with httpx.Client(base_url=api.base_url) as anybody:
        program = anybody.get("/v1/audit/verifier.py")
    assert program.headers["content-type"].startswith("text/x-python")
    (folder / "verifier.py").write_bytes(program.content)
    with api.stream("GET", "/v1/audit/bundle", params=query) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "application/zip"
        (folder / "bundle.zip").write_bytes(answer.read())
    logs = api.get("/v1/audit/key").json()["logs"]
    [vkey] = [it["vkey"] for it in logs if it["log"] == "log"]
    return subprocess.run(
        [sys.executable, "-I", "-S", "verifier.py", "bundle.zip", "--vkey", vkey],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("made")
def test_the_whole_log_is_verified_offline(api: httpx.Client, tmp_path: Path) -> None:
    ran = verified(tmp_path, api)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "VERIFIED"), ran.stdout


def test_one_record_is_verified_offline(api: httpx.Client, made: dict[str, Any], tmp_path: Path) -> None:
    ran = verified(tmp_path, api, record=made["id"])
    assert ran.returncode == 0, ran.stdout
    assert f"of record {made['id']}: each is in the tree" in ran.stdout


@pytest.mark.usefixtures("made")
def test_what_is_not_in_the_tree_is_not_found(api: httpx.Client) -> None:
    assert api.get("/v1/audit/bundle", params={"to": 10**12}).status_code == 404
    assert api.get("/v1/audit/bundle", params={"from": 2, "to": 1}).status_code == 404
    assert api.get("/v1/audit/bundle", params={"record": str(uuid4())}).status_code == 404
    assert api.get("/v1/audit/bundle", params={"from": "x"}).status_code == 422
