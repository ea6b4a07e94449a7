"""The page of `bootseer profile report`, opened in a real browser."""

import contextlib
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from benchmarks.measure.made_starts import STAGES, Made, made_events
from bootseer.cli import profile_page
from bootseer.cli.profile_page.render import render
from bootseer.events.event import Event, Phase
from bootseer.events.reading import Read
from bootseer.profile.document import report_document
from bootseer.profile.picture import picture_document
from bootseer.profile.report import compare, make_report
from tests.browser import Page, shown_alone
from tooling.places import REPOSITORY

HOSTILE = "</script><img src=x onerror='window.caught=1'>"
PIXELS = (
    "(() => { const c = document.querySelector('#gantt canvas');"
    " const b = new OffscreenCanvas(c.width, c.height)"
    ".getContext('2d', {willReadFrequently: true});"
    " b.drawImage(c, 0, 0); const d = b.getImageData(0, 30, c.width, c.height - 30).data;"
    " const seen = new Set(); for (let i = 0; i < d.length; i += 4)"
    " if (d[i + 3] === 255) seen.add(`${d[i]},${d[i + 1]},${d[i + 2]}`); return seen.size; })()"
)
"""How many colours the chart has."""


@contextlib.asynccontextmanager
async def shown(tmp_path: Path, events: list[Event], baseline: bool = False) -> AsyncIterator[Page]:
    """Open the page of a report."""
    report = make_report(Read(events), gpus_per_node=8)
    document = report_document(report, compare(report, report) if baseline else ())
    async with shown_alone(render(document, picture_document(report)), tmp_path) as page:
        yield page


async def test_the_page_shows_nodes_stages_comparison_and_starts(tmp_path: Path) -> None:
    events = [one for n in range(2) for one in made_events(Made(30, attempt=n, slow=2.0))]
    async with shown(tmp_path, events, baseline=True) as page:
        assert await page.text("h1") == "2 starts on up to 30 nodes"
        assert "GPU hours lost" in await page.text("#tiles")
        rows = await page.evaluate("document.querySelectorAll('#kinds tbody tr').length")
        assert rows == len(STAGES)
        assert await page.evaluate("document.querySelectorAll('#starts tbody tr').length") == 2
        changes = await page.text("#changes tbody")
        assert changes.count("1.00\u00d7") == len(STAGES) + 1
        assert await page.evaluate(PIXELS) > 12
        assert "30 of 30 nodes" in await page.text(".tools")


async def test_nodes_are_found_sorted_and_their_stages_hidden(tmp_path: Path) -> None:
    async with shown(tmp_path, list(made_events(Made(30, slow=3.0)))) as page:
        await page.point_at("#gantt canvas", 400, 30)
        assert "node0029" in await page.text("#tooltip")
        await page.evaluate(
            "(() => { const e = document.getElementById('order'); e.value = 'name';"
            " e.dispatchEvent(new Event('change')); })()"
        )
        await page.drawn()
        await page.point_at("#gantt canvas", 400, 31)
        assert "node0000" in await page.text("#tooltip")
        await page.evaluate(
            "(() => { const e = document.getElementById('filter'); e.value = 'node001';"
            " e.dispatchEvent(new Event('input')); })()"
        )
        await page.drawn()
        assert "10 of 30 nodes" in await page.text(".tools")
        before = await page.evaluate(PIXELS)
        await page.evaluate("document.querySelectorAll('#legend button').forEach((b) => b.click())")
        await page.drawn()
        assert await page.evaluate(PIXELS) < before / 2


async def test_zooming_in_leaves_fewer_stages_to_be_seen(tmp_path: Path) -> None:
    async with shown(tmp_path, list(made_events(Made(10)))) as page:
        whole = await page.evaluate(PIXELS)
        for _ in range(5):
            await page.evaluate("document.getElementById('nearer').click()")
        await page.drawn()
        near = await page.evaluate(PIXELS)
        await page.evaluate("document.getElementById('whole').click()")
        await page.drawn()
        # Where stages meet within a pixel colours mix, by the chart's width: not exactly the same.
        assert near < whole / 2 < await page.evaluate(PIXELS)


async def test_thousands_of_nodes_draw_only_what_is_in_view(tmp_path: Path) -> None:
    async with shown(tmp_path, list(made_events(Made(3000, stages=6)))) as page:
        canvas = "document.querySelector('#gantt canvas')"
        assert await page.evaluate(f"{canvas}.height") < 2000
        assert await page.evaluate("document.getElementById('gantt').scrollHeight") > 5000
        await page.evaluate("document.getElementById('gantt').scrollTop = 1e9")
        await page.drawn()
        assert await page.evaluate(PIXELS) > 3


async def test_the_page_fits_a_phone_in_the_dark(tmp_path: Path) -> None:
    async with shown(tmp_path, list(made_events(Made(30)))) as page:
        light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        await page.resize(390, 800, dark=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert light != dark
        assert await page.evaluate(PIXELS) > 6


async def test_names_are_only_text(tmp_path: Path) -> None:
    hostile = [
        replace(
            one,
            origin=replace(one.origin, node=HOSTILE + one.origin.node, job=HOSTILE),
            stage=HOSTILE if one.stage == "imports" else one.stage,
        )
        for one in made_events(Made(3))
        if (one.stage, one.phase) != ("first_step", Phase.END)
    ]
    async with shown(tmp_path, hostile) as page:
        assert HOSTILE in await page.text("#kinds")
        assert "stages never ended" in await page.text("#reading")


async def test_a_page_without_starts_says_so(tmp_path: Path) -> None:
    async with shown(tmp_path, []) as page:
        assert "no stages" in await page.text("#lead")


def test_the_parts_of_pages_are_installed_with_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    data = project["tool"]["setuptools"]["package-data"]
    assert set(data[profile_page.__name__]) == {"*.html", "*.css", "*.js"}
    assert set(data["bootseer.pages"]) == {"*.html", "*.css", "*.js"}
