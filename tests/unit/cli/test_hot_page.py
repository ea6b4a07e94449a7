"""The page of `bootseer hot show`, opened in a real browser."""

import contextlib
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

from hot_images import (
    HOSTILE,
    IMAGE,
    MANIFEST,
    many_files_report,
    small_record,
    small_report,
)
from hypothesis import given
from hypothesis import strategies as st

from bootseer.cli import hot_page
from bootseer.cli.hot_document import hot_document
from bootseer.cli.hot_page.render import render
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.report import Detail, HotReport, make_report
from snapshotter.layers.records import BLOCK, I64
from tests.browser import Page, opened, shown_alone
from tooling.places import REPOSITORY

REFERENCE = "registry.example/<b>ml</b>/trainer:1"
COLD = 10
"""A cell of the base layer that no start touched."""
FIRST_CANVAS = ".layer canvas"
ALL_TEXT = "document.body.innerText"


@contextlib.asynccontextmanager
async def shown(tmp_path: Path, report: HotReport) -> AsyncIterator[Page]:
    """Open the page of a report."""
    async with shown_alone(render(hot_document(report, REFERENCE)), tmp_path) as page:
        yield page


async def test_the_page_shows_totals_layers_files_and_runs(tmp_path: Path) -> None:
    async with shown(tmp_path, small_report()) as page:
        assert await page.text("h1") == REFERENCE
        assert await page.evaluate("document.title") == f"Hot blocks of {REFERENCE}"
        tiles = (await page.text("#tiles")).split("\n")
        expected = ["69.6 kB", "17 blocks of 4 KiB", "2.7 %", "of 2.6 MB", "5", "2.00 s", "1"]
        assert [one for one in tiles if one in expected] == expected
        assert "in 2 layers of 3" in tiles
        layers = await page.evaluate(
            "[...document.querySelectorAll('.layer-head')].map((e) => e.innerText)"
        )
        assert [" ".join(one.split()) for one in layers] == [
            "Layer 0 000000000000 61.4 kB of 2.6 MB hot (2.4 %), 3 files",
            "Layer 1 000000000000 8.2 kB of 8.2 kB hot (100 %), 2 files",
        ]
        assert "Not touched at all: Layer 2 (36.9 kB)" in await page.text("#maps")
        rows = await page.evaluate(
            "[...document.querySelectorAll('#files tbody tr')].map((e) =>"
            " [...e.cells].map((c) => c.innerText))"
        )
        assert rows[0] == ["bin/python", "0", "41.0 kB", "50 % of 81.9 kB", "250 ms"]
        assert rows[1] == ["busybox +1 hard link", "0", "12.3 kB", "100 % of 12.3 kB", "0 ms"]
        assert len(rows) == 5
        run = await page.text("#runs tbody")
        assert run.split("\t")[:4] == [
            "2023-11-14 22:13 UTC",
            "69.6 kB",
            "30.00 s",
            "nothing new for a while",
        ]
        assert MANIFEST in await page.text("#foot")


async def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    async with shown(tmp_path, small_report()) as page:
        body = await page.evaluate(ALL_TEXT)
        assert HOSTILE.replace(b"/", b"|").decode() in body
        assert r"raw-\xff\xfe-\u{202e}" in body
        assert await page.evaluate("document.images.length") == 0
        assert await page.evaluate("document.scripts.length") == 2


async def test_what_is_not_the_pages_own_script_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page_text = render(hot_document(small_report(), "a"))
    injected = "<script>window.caught = 1</script><img src='https://registry.example/x'></body>"
    path.write_text(page_text.replace("</body>", injected))
    async with opened(path, tmp_path / "profile") as page:
        assert await page.evaluate("window.caught ?? null") is None
        assert len([one for one in page.complaints if "Content Security Policy" in one]) == 2


async def test_pointing_at_a_cell_names_the_file_and_the_place_in_it(tmp_path: Path) -> None:
    report = small_report()
    base = report.layers[0].cells
    python = next(number for number, one in enumerate(report.files) if one.path == b"bin/python")
    row = base.file.tolist().index(python) + 2
    assert base.file[row] == python
    async with shown(tmp_path, report) as page:
        await _point_at_cell(page, int(base.cell[row]))
        assert (await page.text("#tooltip")).split("\n") == [
            "bin/python",
            "from 8.2 kB in the file of 81.9 kB",
            "first touched after 250 ms",
            "hot: 4.1 kB, 1 block of 1",
            _place(base.block[row]),
        ]
        await _point_at_cell(page, COLD)
        assert "not touched" in await page.text("#tooltip")
        await page.evaluate(
            f"document.querySelector('{FIRST_CANVAS}').dispatchEvent("
            "new PointerEvent('pointerleave'))"
        )
        assert await page.evaluate("document.getElementById('tooltip').hidden")


def _place(block: I64) -> str:
    first, last = int(block) * BLOCK, (int(block) + 1) * BLOCK
    text = [f"{at / 1e3:.1f} kB" if at < 1e6 else f"{at / 1e6:.2f} MB" for at in (first, last)]
    return f"Layer 0, {text[0]} to {text[1]} of its data area"


async def _point_at_cell(page: Page, cell: int) -> None:
    columns = await page.evaluate(
        f"Math.floor(document.querySelector('{FIRST_CANVAS}').parentElement.clientWidth / 9)"
    )
    await page.point_at(FIRST_CANVAS, cell % columns * 9 + 4, cell // columns * 9 + 4)


async def test_cells_are_coloured_by_first_touch_up_to_the_moment_looked_at(
    tmp_path: Path,
) -> None:
    report = small_report(Detail(cells=1000))
    base = report.layers[0].cells
    early, late = (int(base.cell[base.first_ms.tolist().index(ms)]) for ms in (0, 500))
    async with shown(tmp_path, report) as page:
        cold = await _colour(page, COLD)
        at_end = [await _colour(page, cell) for cell in (early, late)]
        assert len({tuple(one) for one in (cold, *at_end)}) == 3
        await page.evaluate(
            "(() => { const slider = document.getElementById('moment'); slider.value = 100;"
            " slider.dispatchEvent(new Event('input')); })()"
        )
        assert await _colour(page, early) == at_end[0]
        assert await _colour(page, late) == cold
        assert await page.text("#now") == "100 ms · 12.3 kB touched"
        await page.resize(1200, 900, dark=True)
        assert await _colour(page, late) != cold


async def _colour(page: Page, cell: int) -> list[int]:
    """Return the colour in the middle of a cell of the first map."""
    # From a copy: the browser complains of canvases that are read.
    colour: list[int] = await page.evaluate(
        f"(() => {{ const map = document.querySelector('{FIRST_CANVAS}');"
        " const copy = new OffscreenCanvas(map.width, map.height);"
        " const pen = copy.getContext('2d', {willReadFrequently: true});"
        " pen.drawImage(map, 0, 0);"
        " const columns = Math.floor(map.parentElement.clientWidth / 9);"
        f" const [x, y] = [{cell} % columns * 9 + 4, Math.floor({cell} / columns) * 9 + 4];"
        " return [...pen.getImageData(x, y, 1, 1).data]; })()"
    )
    return colour


async def test_the_timeline_says_what_was_touched_by_the_moment_pointed_at(tmp_path: Path) -> None:
    async with shown(tmp_path, small_report()) as page:
        width = await page.evaluate("document.querySelector('#timeline svg').clientWidth")
        await page.point_at("#timeline svg", width / 2, 100)
        tip = (await page.text("#tooltip")).split("\n")
        assert tip[0].startswith("After ")
        assert tip[1:] == ["Layer 1", "0 B", "Layer 0", "61.4 kB", "all", "61.4 kB"]
        assert await page.evaluate("document.querySelectorAll('#timeline path').length") == 2


async def test_replay_runs_from_the_start_and_can_be_stopped(tmp_path: Path) -> None:
    press = "document.getElementById('play').click()"
    moment = "Number(document.getElementById('moment').value)"
    async with shown(tmp_path, small_report()) as page:
        assert await page.evaluate(moment) == 2000
        await page.evaluate(press)
        await page.drawn()
        assert await page.text("#play") == "Stop"
        await page.evaluate(press)
        assert await page.text("#play") == "Replay"
        stopped = await page.evaluate(moment)
        await page.drawn()
        assert await page.evaluate(moment) == stopped < 2000


async def test_arrow_keys_walk_through_a_map(tmp_path: Path) -> None:
    async with shown(tmp_path, small_report()) as page:
        for key in ("ArrowDown", "ArrowRight", "ArrowLeft"):
            await page.evaluate(
                f"document.querySelector('{FIRST_CANVAS}').dispatchEvent("
                f"new KeyboardEvent('keydown', {{key: '{key}'}}))"
            )
        assert (await page.text("#tooltip")).split("\n")[0] == "busybox"


async def test_files_are_filtered_and_sorted(tmp_path: Path) -> None:
    first = "document.querySelector('#files tbody tr').cells[0].innerText"
    async with shown(tmp_path, small_report()) as page:
        await page.evaluate("document.querySelector('#files th:last-child button').click()")
        assert (await page.evaluate(first)).startswith("busybox")
        await page.evaluate(
            "(() => { const filter = document.getElementById('filter'); filter.value = 'TRAIN';"
            " filter.dispatchEvent(new Event('input')); })()"
        )
        assert await page.evaluate(first) == "train.py"
        assert await page.text("#matches") == "1 file, 4.1 kB hot"


async def test_a_file_that_was_gone_to_stays_outlined_until_it_is_left(tmp_path: Path) -> None:
    drawn = f"document.querySelector('{FIRST_CANVAS}').toDataURL()"
    path = "document.querySelector('#files .path')"
    async with shown(tmp_path, small_report()) as page:
        plain = await page.evaluate(drawn)
        await page.point_at("#files tbody tr", 20, 8)
        outlined = await page.evaluate(drawn)
        assert outlined != plain
        await page.point_at("h1", 5, 5)
        assert await page.evaluate(drawn) == plain
        await page.evaluate(f"{path}.click()")
        assert await page.evaluate(drawn) == outlined
        await page.evaluate(f"{path}.click()")
        assert await page.evaluate(drawn) == plain


async def test_a_long_table_is_shown_in_parts(tmp_path: Path) -> None:
    rows = "document.querySelectorAll('#files tbody tr').length"
    async with shown(tmp_path, many_files_report(700)) as page:
        assert await page.evaluate(rows) == 25
        assert await page.text("#more") == "Show more (675 left)"
        await page.evaluate("document.getElementById('more').click()")
        assert await page.evaluate(rows) == 525
        await page.evaluate("document.getElementById('more').click()")
        assert await page.evaluate(rows) == 700
        assert await page.evaluate("document.getElementById('more').hidden")


@given(st.text(), st.text())
def test_whatever_names_hold_the_page_carries_them_as_data(reference: str, path: str) -> None:
    document = hot_document(small_report(), reference)
    document["files"][0]["path"] = path
    data = render(document).partition('id="report">')[2].partition("</script>")[0]
    assert json.loads(data) == document


def test_everything_the_page_is_made_of_is_in_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["bootseer.cli.hot_page"]
    parts = [path for path in Path(hot_page.__path__[0]).iterdir() if path.is_file()]
    assert len(parts) > len(patterns)
    for part in parts:
        assert part.suffix == ".py" or any(part.match(pattern) for pattern in patterns), part


async def test_no_width_needs_scrolling_sideways(tmp_path: Path) -> None:
    async with shown(tmp_path, small_report()) as page:
        for width in (320, 390, 800, 1600):
            await page.resize(width, 900)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_start_that_touched_nothing_and_one_without_layers_have_pages(
    tmp_path: Path,
) -> None:
    nothing = small_record(ranges=make_ranges([]), time_ms=small_record().time_ms[:0])
    async with shown(tmp_path, make_report([nothing], IMAGE)) as page:
        assert "0 B of 2.6 MB" in await page.text("#lead")
    nowhere = small_record(ranges=nothing.ranges, time_ms=nothing.time_ms, layers=())
    async with shown(tmp_path, make_report([nowhere], ())) as page:
        assert "0 B of 0 B" in await page.text("#lead")
