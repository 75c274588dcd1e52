"""The page for operators says what the program does."""

import re
from pathlib import Path

from infra.metrics import metrics
from infra.settings import PREFIX, Settings
from tests.e2e.importing import system_on

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def test_the_page_lists_every_setting_with_its_default() -> None:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {'' if it.default is None else f'`{it.default}`'} | {it.description} |"
        for name, it in Settings.model_fields.items()
    ]
    listed = [line for line in PAGE.splitlines() if line.startswith(f"| `{PREFIX}")]
    assert listed == rows


async def test_the_page_names_only_metrics_that_there_are(database_url: str, tmp_path: Path) -> None:
    async with system_on(database_url, tmp_path) as system:
        shown = (await metrics(system)).decode()
    named = set(re.findall(r"`(lethe_[a-z_]+)(?:\{[a-z,]+\})?`", PAGE))
    assert len(named) > 5
    assert {it for it in named if f"# HELP {it} " not in shown} == set()
