"""`bootseer hot show`, with a real registry, and what it prints."""

import asyncio
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hot_images import small_report
from rich.console import Console

from bootseer.cli.hot_document import hot_document
from bootseer.cli.hot_output import show_report
from bootseer.cli.main import run
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hot.record_format import encode
from snapshotter.hot.report import Detail
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.ports import ImageKey
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference
from tests.image_maker import MadeImage, layer_of, push_image
from tests.registry_fixture import ALONE, RunningRegistry, registry

__all__ = ["registry"]

PLATFORM = ["--platform", "linux/amd64"]
FILES = {"bin/tool": b"t" * 9000, "etc/\x1b[31mred": b"r", "never": b"n" * 50_000}


def push(reference: str) -> MadeImage:
    async def pushed() -> MadeImage:
        async with RegistryClient(ALONE) as client:
            return await push_image(client, parse_reference(reference), [layer_of(FILES)])

    return asyncio.run(pushed())


def publish(reference: str, made: MadeImage, records: Sequence[Record]) -> None:
    async def published() -> None:
        async with RegistryClient(ALONE) as client:
            for record in records:
                await RegistryHotStore(client).publish_record(
                    ImageKey(reference, made.digest), record
                )

    asyncio.run(published())


def record_of(made: MadeImage, index: str, data_size: int, workload: str = "") -> Record:
    """Return the record of a start that read `tool` and then the file with the red name."""
    return Record(
        manifest_digest=made.digest,
        workload=workload,
        created=1_700_000_000,
        window_ms=1000,
        length_ms=1000,
        ended=Ended.WINDOW,
        kernel="6.18.0",
        architecture="x86_64",
        layers=(HotLayer(made.layers[0].digest, index, data_size),),
        ranges=make_ranges([(0, 0, 3), (0, 3, 1)]),
        time_ms=np.array([10, 900], dtype=np.int64),
    )


@pytest.fixture
def indexed(
    registry: RunningRegistry, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> tuple[str, MadeImage, str, int]:
    """An image with an index: its reference, itself, the index's digest, bytes of data."""
    reference = f"{registry.host}/show/{request.node.name.replace('_', '')[:60]}:1"
    made = push(reference)
    assert run(["image", "index", reference, *PLATFORM]) == 0
    capsys.readouterr()
    assert run(["image", "inspect", reference, "--json", *PLATFORM]) == 0
    layer = json.loads(capsys.readouterr().out)["layers"][0]
    return reference, made, layer["index"], layer["data_size"]


def test_published_records_are_merged_and_shown(
    indexed: tuple[str, MadeImage, str, int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    reference, made, index, size = indexed
    one = record_of(made, index, size)
    publish(reference, made, [one, replace(one, created=1_700_000_060)])
    page = tmp_path / "page.html"
    assert run(["hot", "show", reference, "--json", "--html", str(page), *PLATFORM]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["manifest"] == made.digest
    assert len(document["runs"]) == 2
    assert (document["hot_blocks"], document["hot_files"]) == (4, 2)
    assert [(one["path"], one["hot_blocks"]) for one in document["files"]] == [
        ("bin/tool", 3),
        ("etc/\x1b[31mred", 1),
    ]
    assert "bin/tool" in page.read_text()
    assert run(["hot", "show", reference, *PLATFORM]) == 0
    shown = capsys.readouterr().out
    assert "16.4 kB of" in shown
    assert "bin/tool" in shown
    assert "\x1b" not in shown


def test_a_record_in_a_file_is_shown_without_any_that_was_published(
    indexed: tuple[str, MadeImage, str, int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    reference, made, index, size = indexed
    path = tmp_path / "record"
    path.write_bytes(encode(record_of(made, index, size, "train")))
    arguments = ["hot", "show", reference, "--record", str(path), "--json", *PLATFORM]
    assert run([*arguments, "--workload", "train"]) == 0
    assert json.loads(capsys.readouterr().out)["hot_blocks"] == 4
    assert run(arguments) == 2
    assert "'train'" in capsys.readouterr().err


def test_a_record_of_an_index_that_is_gone_is_shown_without_names(
    indexed: tuple[str, MadeImage, str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    reference, made, _, size = indexed
    publish(reference, made, [record_of(made, f"sha256:{9:064x}", size)])
    assert run(["hot", "show", reference, "--json", *PLATFORM]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["hot_blocks"], document["files"]) == (4, [])
    assert [layer["named"] for layer in document["layers"]] == [False]
    assert run(["hot", "show", reference, *PLATFORM]) == 0
    assert "layers whose files have no names: 1" in capsys.readouterr().out


def test_what_cannot_be_shown_is_said(
    indexed: tuple[str, MadeImage, str, int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    reference, made, index, size = indexed
    command = ["hot", "show", reference, *PLATFORM]
    assert run(command) == 3
    assert "no start of the default workload was recorded" in capsys.readouterr().err
    bad = tmp_path / "bad"
    assert run([*command, "--record", str(bad)]) == 2
    assert str(bad) in capsys.readouterr().err
    bad.write_bytes(b"no record")
    assert run([*command, "--record", str(bad)]) == 5
    assert str(bad) in capsys.readouterr().err
    other = replace(record_of(made, index, size), manifest_digest=f"sha256:{1:064x}")
    bad.write_bytes(encode(other))
    assert run([*command, "--record", str(bad)]) == 2
    assert made.digest in capsys.readouterr().err
    publish(reference, made, [record_of(made, index, size)])
    assert run([*command, "--html", str(tmp_path / "no" / "where")]) == 6
    assert "the page cannot be written" in capsys.readouterr().err


def test_the_document_of_a_small_image() -> None:
    document = hot_document(small_report(Detail(cells=8, buckets=4, files=2)), "a:1")
    layers = document.pop("layers")
    assert document == {
        "reference": "a:1",
        "manifest": f"sha256:{5:064x}",
        "workload": "",
        "block_bytes": 4096,
        "data_bytes": 636 * 4096,
        "hot_blocks": 17,
        "hot_bytes": 17 * 4096,
        "hot_files": 5,
        "last_ms": 2000,
        "runs": [
            {
                "created": 1_700_000_000,
                "length_ms": 30_000,
                "ended": "quiet",
                "kernel": "6.18.0",
                "architecture": "x86_64",
                "hot_blocks": 17,
            }
        ],
        "cell_blocks": 128,
        "timeline": {"bucket_ms": 1000, "blocks": [[15, 15, 15], [0, 1, 2], [0, 0, 0]]},
        "files": [
            {
                "layer": 0,
                "path": "bin/python",
                "other_names": 0,
                "start": 603,
                "size": 20 * 4096,
                "hot_blocks": 10,
                "first_ms": 250,
            },
            {
                "layer": 0,
                "path": "busybox",
                "other_names": 1,
                "start": 0,
                "size": 3 * 4096,
                "hot_blocks": 3,
                "first_ms": 0,
            },
        ],
    }
    assert layers[0] == {
        "position": 0,
        "digest": f"sha256:{1:064x}",
        "index": f"sha256:{11:064x}",
        "named": True,
        "runs": 1,
        "data_bytes": 625 * 4096,
        "hot_blocks": 15,
        "hot_files": 3,
        "cells": {
            "cell": [0, 4],
            "hot": [3, 12],
            "first_ms": [0, 250],
            "file": [1, 0],
            "block": [0, 603],
        },
    }
    assert [layer["hot_blocks"] for layer in layers] == [15, 2, 0]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_of_any_width_gets_strips_and_files(width: int) -> None:
    output = io.StringIO()
    console = Console(file=output, width=width, highlight=False)
    show_report(console, small_report(), "a:1", top=10)
    shown = output.getvalue()
    assert "17 blocks of 4 KiB" in shown
    assert "█" in shown
    assert "raw-\\xff" in shown
    assert "\u202e" not in shown


def test_colours_are_for_terminals_only() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    show_report(Console(file=plain, width=100, highlight=False), small_report(), "a:1", top=3)
    terminal = Console(file=coloured, width=100, highlight=False, force_terminal=True)
    show_report(terminal, small_report(), "a:1", top=3)
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in coloured.getvalue()
