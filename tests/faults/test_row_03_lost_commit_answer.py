"""Row 3: the answer to COMMIT is lost. A retry of the command applies once, and is answered alike."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.ports import Commit, Outcome, Unavailable
from tests.eventlogs import Log, PostgresLog, postgres_log, read_all, registrations
from tests.faults.proxy import one_of, proxy_before

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
COMMANDS = 2000 if TORTURE else 30
NAIVE_COMMANDS = 20
CLIENTS = 8
LOSSES = (0, 1, 1, 6, 6)  # one lost answer is made good unseen; six in a row are told to the client


async def _send_until_answered(
    log: Log, first: Commit, again: Callable[[Commit], Commit]
) -> tuple[Commit, Outcome, int]:
    """What a client does that sends again what it got no answer to: commit, answer, how often sent again."""
    commit = first
    for resent in range(1000):
        try:
            return commit, await log.store.append(commit), resent
        except Unavailable:
            commit = again(commit)
    raise AssertionError("never answered")


async def _send_all(
    log: Log, commits: list[Commit], again: Callable[[Commit], Commit]
) -> list[tuple[Commit, Outcome, int]]:
    answers: list[tuple[Commit, Outcome, int]] = []
    for first in range(0, len(commits), CLIENTS):
        some = commits[first : first + CLIENTS]
        answers += await asyncio.gather(*(_send_until_answered(log, commit, again) for commit in some))
    return answers


@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_a_command_whose_answer_was_lost_is_applied_once_and_answered_alike(
    database_url: str, tmp_path: Path
) -> None:
    async with proxy_before(database_url) as proxy, postgres_log(database_url, tmp_path) as direct:
        async with postgres_log(proxy.url, tmp_path, group_max=1) as log:
            proxy.loses = one_of(LOSSES, seed=3)
            answers = await _send_all(log, registrations(COMMANDS), again=lambda commit: commit)
            lost, resent = proxy.lost, sum(times for _, _, times in answers)
            doubled = await _doubled_by_a_client_without_command_ids(log, direct)
            proxy.loses = lambda: 0

        stored = Counter(it.originator_id for it in await read_all(direct))
        assert all(stored[commit.id] == 1 for commit, _, _ in answers)
        for commit, outcome, _ in answers:
            assert await direct.store.append(commit) == replace(outcome, repeated=True)
    print(
        f"\nrow 3: {COMMANDS} commands, {lost} answers to COMMIT lost, {resent} commands sent again: "
        "0 lost, 0 applied twice, 0 answered otherwise; "
        f"a client without command ids doubled {doubled} of {NAIVE_COMMANDS}"
    )
    assert lost > COMMANDS / 3
    assert resent > 0
    assert doubled > 0


async def _doubled_by_a_client_without_command_ids(log: PostgresLog, direct: PostgresLog) -> int:
    before = len(await read_all(direct))
    await _send_all(log, registrations(NAIVE_COMMANDS), again=lambda _: registrations(1)[0])
    return len(await read_all(direct)) - before - NAIVE_COMMANDS
