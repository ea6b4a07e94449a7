"""Half precision, with the processor's in place of a GPU's: the same casts, other hardware."""

import math
from pathlib import Path

import pytest
import torch
from test_resume import METHODS, lines
from tiny import Tiny, run, tiny_config

from idpl.training import precision, step


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_in_half_precision(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(step, "autocast", lambda _device: torch.autocast("cpu", torch.bfloat16))
    config = tiny_config(method)
    run(config, tiny.sets, tmp_path / "half")
    monkeypatch.undo()
    run(config, tiny.sets, tmp_path / "single")
    half, single = lines(tmp_path / "half"), lines(tmp_path / "single")
    assert half != single
    assert [set(line) for line in half] == [set(line) for line in single]
    assert all(math.isfinite(value) for line in half for value in line.values())
    assert half[0]["source"] == pytest.approx(single[0]["source"], rel=0.05)


def test_a_processor_trains_in_single_precision_and_scales_nothing() -> None:
    assert precision.make_scaler("cpu") is None
    with precision.autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
