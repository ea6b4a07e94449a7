"""A training that is killed without a word, wherever it is, loses at most a few steps."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny import DOCUMENT, Tiny, run

from idpl.config import config_from

EXAMPLE = Path(__file__).parents[1]
KILLED = DOCUMENT | {
    "training": {**DOCUMENT["training"], "steps": 24, "warmup": 4, "checkpoint_every": 1, "keep": 2}
}


def steps_done(out: Path) -> int:
    try:
        return len((out / "metrics.jsonl").read_text().splitlines())
    except FileNotFoundError:
        return 0


def killed_after(config: Path, out: Path, steps: int) -> None:
    """Start a training, kill it once it has done some more steps."""
    argv = [sys.executable, "-m", "idpl", "train", "--config", str(config), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": f"{EXAMPLE}:{os.environ.get('PYTHONPATH', '')}"}
    before = steps_done(out)
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE) as training:
        while steps_done(out) < before + steps:
            assert training.poll() is None, training.stderr and training.stderr.read()
            time.sleep(0.005)
        training.send_signal(signal.SIGKILL)


def test_a_training_killed_twice_ends_as_one_that_was_not(tiny: Tiny, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(KILLED))
    out = tmp_path / "killed"
    for steps in (6, 4):
        killed_after(config, out, steps)
    found, said = run(config_from(KILLED), tiny.sets, out)
    assert "resumed at step" in said
    whole, _ = run(config_from(KILLED), tiny.sets, tmp_path / "whole")
    assert found.by_class == pytest.approx(whole.by_class, abs=0, nan_ok=True)
    one, other = (
        [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        for place in (out, tmp_path / "whole")
    )
    assert one == other
    assert not list(out.rglob("*.part"))
