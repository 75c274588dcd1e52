"""The access log names routes and ids, and never what was searched for."""

import json
import time
from typing import Any

import httpx

from tests.http.samples import person
from tests.http.stack import Running

WORD = "Xanthippe9914"


def test_a_search_for_a_name_leaves_no_name_in_the_log(
    server: Running, api: httpx.Client, created: Any
) -> None:
    made = created("customers", person(name=WORD, email=f"{WORD}@example.com"))
    api.get("/v1/customers", params={"q": WORD, "at_least": made["position"]})
    api.post("/v1/customers/lookup", json={"email": f"{WORD}@example.com"})
    api.post("/v1/customers", json=person(email=WORD))
    api.get(f"/v1/{WORD}")
    api.get("/v1/customers", params={WORD: "1"})
    assert WORD.lower() not in server.log.getvalue().lower()


def line_of(server: Running, request: str) -> Any:
    """The one line of this request: it is written a moment after the client has the answer."""
    deadline = time.monotonic() + 30
    while True:
        lines = [json.loads(it) for it in server.log.getvalue().splitlines()]
        if found := [it for it in lines if it.get("request") == request]:
            (line,) = found
            return line
        assert time.monotonic() < deadline, "the request has no line"
        time.sleep(0.01)


def test_a_line_tells_route_status_time_actor_and_the_id_the_client_got(
    server: Running, api: httpx.Client, created: Any
) -> None:
    made = created("customers", person())
    answer = api.get(f"/v1/customers/{made['id']}", params={"at_least": made["position"]})
    line = line_of(server, answer.headers["x-request-id"])
    assert line["event"] == "request"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/customers/{id}", 200)
    assert line["milliseconds"] > 0
    assert "withheld" not in line
    entry = api.get(f"/v1/customers/{made['id']}/timeline").json()["items"][0]
    assert line["actor"] == entry["actor"]
