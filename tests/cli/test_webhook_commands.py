"""`lethe webhook`, from an address to its removal."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.webhook.aggregate import WebhookUrlUnfit
from domain.webhook.events import ParkCause
from infra.cli import upkeep, webhooks
from infra.cli.command import Call
from infra.settings import load
from services.ports import RecordNotFound
from services.webhooks import PlaceNotAllowed
from tests.cli.test_command_line import document, lethe
from tests.e2e.importing import system_on
from tests.eventlogs import context

URL = "https://hooks.example.com/lethe"


async def test_a_webhook_is_registered_shown_rotated_replayed_and_removed(
    database_url: str, tmp_path: Path
) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    async with system_on(database_url, tmp_path):
        pass
    made = document(lethe("webhook", "register", URL, "--type", "lead.won", "--json", **where))
    id = UUID(made["id"])
    # The others in this process: to start one takes a second.
    call = Call(load(**where), as_json=False)
    shown: Any = (await webhooks.show(call, id=id)).document
    assert (shown["url"], shown["types"], shown["state"], shown["lag"]) == (URL, ["lead.won"], "active", 0)
    rotated: Any = (await webhooks.rotate(call, id=id, overlap_hours=1)).document
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    assert made["secret"] != rotated["secret"]
    replayed: Any = (await webhooks.replay(call, id=id, after=0, reason="a new receiver")).document
    assert replayed["version"] == 3
    assert (await webhooks.resume(call, id=id)).document == replayed, "it was not parked: nothing changes"
    assert f"{id}  active  3 behind, 0 blocked  {URL}" in (await webhooks.list_webhooks(call)).words
    assert f"webhook {id}: 3 behind, 0 blocked\n" in (await upkeep.status(call)).words
    async with system_on(database_url, tmp_path) as system:
        await system.webhooks.park(id=id, cause=ParkCause.GONE, context=context())
    status = await upkeep.status(call)
    assert f"webhook {id}: 4 behind, 0 blocked, PARKED\n" in status.words
    await webhooks.remove(call, id=id)
    assert "webhook " not in (await upkeep.status(call)).words
    assert (await webhooks.list_webhooks(call)).words == "There is none."
    with pytest.raises(RecordNotFound):
        await webhooks.show(call, id=id)
    with pytest.raises(PlaceNotAllowed):
        await webhooks.register(call, url="https://10.0.0.1/")
    with pytest.raises(WebhookUrlUnfit):
        await webhooks.register(call, url="https://me:secret@hooks.example.com/")
