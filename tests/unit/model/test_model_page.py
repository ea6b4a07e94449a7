"""The page of `scripts/bench model`, opened in a real browser."""

from pathlib import Path

import pytest

from benchmarks.model.check import Check
from benchmarks.model.document import ASSUMPTIONS, model_document
from benchmarks.model.page.render import render
from benchmarks.model.parameters import origins, parameters
from benchmarks.model.published import PUBLISHED
from benchmarks.model.sweep import LINES, line_document, sweep
from tests.browser import shown_alone

SIZES = (1, 8, 120)


@pytest.fixture(scope="module")
def page_text() -> str:
    site = parameters("site")
    lines = [line_document(line, sweep(site, line, SIZES), site.node.gpus) for line in LINES]
    hostile = "</script><img src=x onerror='window.caught=1'>"
    found = [Check(hostile, 2.0, 2.5, "predicted"), Check("a pull", 20.0, 20.1, "fitted")]
    return render(model_document(lines, found))


async def test_the_page_shows_lines_boxes_bars_errors_and_every_number(
    page_text: str, tmp_path: Path
) -> None:
    async with shown_alone(page_text, tmp_path) as page:
        assert "120 nodes start in" in await page.text("h1")

        async def number(selector: str) -> int:
            found: int = await page.evaluate(f"document.querySelectorAll({selector!r}).length")
            return found

        assert await number("#time-chart path.line") == 3
        assert await number("#time-chart circle") == 3 * len(SIZES)
        assert await number("#time-chart rect.box") == len(PUBLISHED)
        assert await number("#stages-chart rect") == 3 * 4 * 2
        assert await number("#assumptions li") == len(ASSUMPTIONS)
        assert await number("#less-table tbody tr") == 6
        numbers = len(origins("laboratory")) + len(origins("site", whole=False))
        assert await number("#numbers-table tbody tr") == numbers
        assert "+25 %" in await page.text("#check-table")
        await page.point_at("#time-chart svg", 300, 100)
        assert "GPUs" in await page.text("#tooltip")


async def test_another_source_and_the_dark_theme_draw_anew(page_text: str, tmp_path: Path) -> None:
    lines = "[...document.querySelectorAll('#time-chart path.line')].map((p) => p.getAttribute(%r))"
    async with shown_alone(page_text, tmp_path) as page:
        before, colours = await page.evaluate(lines % "d"), await page.evaluate(lines % "stroke")
        await page.evaluate(
            "(() => { const e = document.getElementById('supply'); e.value = 'registry';"
            " e.dispatchEvent(new Event('change')); })()"
        )
        await page.drawn()
        assert await page.evaluate(lines % "d") != before
        await page.resize(1200, 900, dark=True)
        assert await page.evaluate(lines % "stroke") != colours


async def test_nothing_is_wider_than_a_phone(page_text: str, tmp_path: Path) -> None:
    async with shown_alone(page_text, tmp_path) as page:
        await page.resize(390, 800)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
