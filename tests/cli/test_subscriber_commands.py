"""`lethe subscriber`, as its users meet it: from a name to a token, and to its end."""

import re
from pathlib import Path
from typing import Any

from services.subscribers import subscriber_of
from tests.cli.test_command_line import document, lethe
from tests.e2e.importing import projected, system_on


async def test_a_subscriber_is_registered_granted_revoked_ended_and_listed(
    database_url: str, tmp_path: Path
) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    async with system_on(database_url, tmp_path):
        pass
    made = lethe("subscriber", "register", "mirror", "--purpose", "support", "--json", **where)
    granted = lethe(
        "subscriber", "grant", "mirror", "--category", "contact", "--category", "identity", **where
    )
    token = lethe("subscriber", "token", "mirror", "--days", "30", **where)
    assert document(made)["id"] == str(subscriber_of("mirror"))
    assert granted.stdout == "mirror may open contact, identity.\n"
    assert re.fullmatch(r"lethe_[0-9a-f]{32}_[\w-]{43}\n", token.stdout)
    async with system_on(database_url, tmp_path) as system:
        await projected(system)
        [kept] = await system.tokens.all()
        assert (kept.actor_id, kept.name) == (subscriber_of("mirror"), "mirror")
    revoked = lethe("subscriber", "revoke", "mirror", "--category", "contact", **where)
    assert revoked.stdout == "mirror may not open contact any more.\n"
    assert lethe("subscriber", "end", "mirror", **where).stdout == "mirror has ended.\n"
    async with system_on(database_url, tmp_path) as system:
        await projected(system)
        [kept] = await system.tokens.all()
        assert kept.revoked_at is not None
    [shown] = document(lethe("subscriber", "list", "--ended", "--json", **where))["subscribers"]
    assert (shown["name"], shown["grants"], shown["ended_at"] is not None) == ("mirror", [], True)
