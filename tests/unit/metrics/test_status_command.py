"""`bootseer status` and `bootseer snapshotter metrics`, as processes that ask a real socket."""

import asyncio
import json
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from node_numbers import node_numbers

from bootseer.metrics.exposition import render
from snapshotter.metrics.document import status_document
from snapshotter.metrics.families import families
from snapshotter.service.control import serve_control

HOT = {"images": [], "recordings": [], "recorded": []}
INTERRUPTED = 130


async def status() -> dict[str, Any]:
    return status_document(node_numbers(), ["a", "b"], [], HOT)


async def metrics() -> str:
    return render(families(node_numbers()))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bootseer.yaml"
    path.write_text(f"run_dir: {tmp_path}\n")
    return path


def command(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "bootseer", *arguments, "--config", str(config)]


async def run(config: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command(config, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_it_prints_what_the_daemon_says(config: Path) -> None:
    async with serve_control(config.parent / "control.sock", status, metrics):
        code, text, _ = await run(config, "status", "--json")
        assert (code, json.loads(text)["mounted"]) == (0, ["a", "b"])
        code, text, _ = await run(config, "status")
        assert (code, "2 layers mounted" in text) == (0, True)
        assert await run(config, "snapshotter", "metrics") == (0, await metrics(), "")


@pytest.mark.parametrize("what", [["status"], ["snapshotter", "metrics"]])
async def test_without_a_daemon_it_says_so(config: Path, what: list[str]) -> None:
    code, text, errors = await run(config, *what)
    assert (code, text) == (6, "")
    assert "the snapshotter does not answer" in errors


async def test_only_terminals_are_watched_on(config: Path) -> None:
    code, _, errors = await run(config, "status", "--watch")
    assert code == 2
    assert "--watch is for a terminal" in errors


async def test_a_watch_goes_on_until_it_is_interrupted(config: Path) -> None:
    asked = asyncio.Semaphore(0)

    async def counted() -> dict[str, Any]:
        asked.release()
        return await status()

    master, slave = pty.openpty()
    try:
        async with serve_control(config.parent / "control.sock", counted, metrics):
            process = await asyncio.create_subprocess_exec(
                *command(config, "status", "--watch"),
                stdout=slave,
                env={**os.environ, "TERM": "xterm"},
            )
            for _ in range(3):
                await asyncio.wait_for(asked.acquire(), 60)
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), 60) == INTERRUPTED
        assert b"2 layers mounted" in os.read(master, 1 << 16)
    finally:
        os.close(master)
        os.close(slave)
