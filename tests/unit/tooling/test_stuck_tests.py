"""What happens to a test that stands still."""

import subprocess
import sys
from pathlib import Path

STUCK = """
import asyncio, time
from tests import stuck

stuck.LONGEST_S = 0.5

async def inner():
    await asyncio.Event().wait()

async def test_waits_for_ever():
    await asyncio.create_task(inner(), name="inner")

def test_sleeps():
    time.sleep(100)

async def test_is_well():
    await asyncio.sleep(0)
"""


def test_a_test_that_stands_still_fails_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(STUCK)
    command = [sys.executable, "-m", "pytest", "-p", "tests.stuck", "-o", "asyncio_mode=auto"]
    command += ["--rootdir", str(tmp_path), str(path)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "2 failed, 1 passed" in result.stdout
    assert "stuck: inner\n" in result.stdout
    assert f"{path}:8 inner\n" in result.stdout
    assert "StuckError: not done after 0.5 s" in result.stdout
