"""Logs: what passes, and that nothing personal does, whoever logs it and however."""

import io
import json
import logging
from collections.abc import Iterator
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
import structlog

from infra.logging import configure

NAME = "Ada Lovelace"
ID = UUID("0195a4c1-0000-7000-8000-000000000001")


class Stage(StrEnum):
    FENCE = "fence"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    configure("debug", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = before[0], before[1]
    logging.getLogger("uvicorn.access").disabled = False


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_ids_numbers_and_words_pass(out: io.StringIO) -> None:
    structlog.get_logger().info("erasure_step", subject=ID, step=Stage.FENCE, position=7, seconds=0.5)
    structlog.get_logger().info("request_failed", fault=str(ID))
    line = lines(out)[0]
    assert (line["event"], line["level"]) == ("erasure_step", "info")
    assert (line["subject"], line["step"]) == (str(ID), "fence")
    assert (line["position"], line["seconds"]) == (7, 0.5)
    assert lines(out)[1]["fault"] == str(ID)
    assert line["time"].endswith("Z")


@pytest.mark.parametrize(
    "fields",
    [
        {"customer": NAME},
        {"customer": "Ada"},
        {"name": "Ada"},
        {"step": NAME},
        {"data": {"name": NAME}},
        {"names": [NAME]},
        {"trace": [{"name": NAME}]},
        {"blob": NAME.encode()},
    ],
)
def test_text_outside_known_words_is_withheld_by_name(out: io.StringIO, fields: dict[str, Any]) -> None:
    structlog.get_logger().warning("something_seen", **fields)
    assert "Ada" not in out.getvalue()
    assert lines(out)[0]["withheld"] == list(fields)


def test_an_event_is_a_name_and_not_a_sentence_about_somebody(out: io.StringIO) -> None:
    structlog.get_logger().error(f"could not mail {NAME}")
    assert "Ada" not in out.getvalue()
    assert lines(out)[0]["event"] == "unnamed"


def test_an_exception_leaves_its_types_and_places_but_not_its_text(out: io.StringIO) -> None:
    try:
        try:
            raise KeyError(NAME)
        except KeyError as error:
            raise ValueError(f"no {NAME}") from error
    except ValueError:
        structlog.get_logger().exception("failed")
    line = lines(out)[0]
    assert line["error"] == "ValueError,KeyError"
    assert line["trace"][0].startswith("tests/infra/test_logging.py:")
    assert "Ada" not in out.getvalue()


def test_a_library_is_logged_by_its_template_without_the_values(out: io.StringIO) -> None:
    logging.getLogger("some.client").error("cannot parse %s", NAME)
    logging.getLogger("some.client").error("cannot parse " + NAME)  # noqa: G003 - as libraries do
    with_template, without = lines(out)
    assert with_template["template"] == "cannot parse %s"
    assert "template" not in without
    assert without["logger"] == "some.client"
    assert "Ada" not in out.getvalue()


def test_request_targets_are_not_logged(out: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").error('"%s"', f"GET /v1/customers?q={NAME}")
    assert out.getvalue() == ""


def test_what_is_below_the_level_is_not_logged(out: io.StringIO) -> None:
    configure("warning", out)
    structlog.get_logger().info("chatter")
    assert out.getvalue() == ""
