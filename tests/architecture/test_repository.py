"""The repository as a whole: it stands alone, and names no place or tool that its readers do not have."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Each pattern is written so that it does not find itself.
FOREIGN = re.compile(
    r"/[w]ork/|pypi[.](org|io)|python[h]osted|maven[.]org|registry[.]npmjs|--(extra-)?[i]ndex-url\b"
    r"|\b[i]ssues? #?\d|/tmp/[l]ethe/|\b(this|the next|an? earlier) [s]ession\b",
    re.IGNORECASE,
)


def text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, check=True,
    ).stdout  # fmt: skip
    files = [REPOSITORY / name.decode() for name in listed.split(b"\0") if name]
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8000]]


def foreign_words(text: str) -> list[str]:
    return [found.group() for found in FOREIGN.finditer(text)]


def test_no_file_names_a_registry_or_the_place_it_was_written_in() -> None:
    files = text_files()
    assert len(files) > 20
    found = {
        str(file.relative_to(REPOSITORY)): words
        for file in files
        if (words := foreign_words(file.read_text(errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text", ["https://files.python_hosted.org/x", "see is_sue 12", "cd /_work/main", "pip --ind_ex-url x"]
)
def test_a_foreign_word_would_be_found(text: str) -> None:
    assert not foreign_words(text)
    assert foreign_words(text.replace("_", ""))
