"""The pictures of the documentation: used, described, small, and made by the browser tests."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs" / "images").glob("*.png"))
README = (ROOT / "README.md").read_text()


def test_there_are_some() -> None:
    assert {path.stem for path in PICTURES} >= {"connection-form", "task-with-link", "sweep-before", "sweep-after"}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: str(path.stem))
class TestPicture:
    def test_is_shown_and_described(self, picture: Path) -> None:
        [description] = re.findall(rf"!\[([^\]]+)\]\(docs/images/{picture.name}\)", README)
        assert len(description) > 20

    def test_is_small_and_of_the_fixed_width(self, picture: Path) -> None:
        start = picture.read_bytes()[:24]
        assert start[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">I", start[16:20]) == (1280,)
        assert picture.stat().st_size < 250_000

    def test_is_made_by_a_browser_test(self, picture: Path) -> None:
        tests = "".join(path.read_text() for path in (ROOT / "tests" / "e2e").glob("test_*.py"))
        assert tests.count(f'shoot(ui.page, "{picture.stem}"') == 1
