"""A run that is interrupted goes on as if it had not been."""

import json
from pathlib import Path

import pytest
import torch
from tiny import Tiny, run, tiny_config

from idpl.checkpoint import store
from idpl.config import as_document
from idpl.errors import CheckpointError, DivergedError
from idpl.training import loop
from idpl.training.metrics import NAME as METRICS

METHODS = (
    "source-only",
    "fixed-threshold",
    "class-balanced",
    "entropy-adversarial",
    "easy-hard",
    "idpl",
)


class InterruptedRun(Exception):
    pass


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / METRICS).read_text().splitlines()]


def interrupted(config, tiny: Tiny, out: Path, at: int) -> None:
    """Run until the step `at` is about to be done."""
    patch = pytest.MonkeyPatch()
    real = loop.train_step

    def step(state, *arguments):
        if state.step == at:
            raise InterruptedRun
        return real(state, *arguments)

    patch.setattr(loop, "train_step", step)
    with pytest.raises(InterruptedRun):
        run(config, tiny.sets, out)
    patch.undo()


@pytest.mark.parametrize("method", METHODS)
def test_losses_and_weights_are_those_of_a_run_in_one_go(
    tiny: Tiny, tmp_path: Path, method: str
) -> None:
    config = tiny_config(method)
    whole, _ = run(config, tiny.sets, tmp_path / "whole")
    interrupted(config, tiny, tmp_path / "parts", 5)
    parts, said = run(config, tiny.sets, tmp_path / "parts")
    assert "resumed at step 4 of 6" in said
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")
    one, other = (
        store.load(tmp_path / name / "checkpoints/step-000006").tensors
        for name in ("whole", "parts")
    )
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert parts.by_class == pytest.approx(whole.by_class, abs=0, nan_ok=True)


def test_a_finished_run_only_says_its_result_again(tiny: Tiny, tmp_path: Path) -> None:
    first, _ = run(tiny.config, tiny.sets, tmp_path)
    again, said = run(tiny.config, tiny.sets, tmp_path)
    assert "resumed at step 6 of 6" in said
    assert again.by_class == pytest.approx(first.by_class, abs=0, nan_ok=True)
    assert len(lines(tmp_path)) == 6


def test_methods_that_fork_from_one_warm_up_see_the_same_source(tiny: Tiny, tmp_path: Path) -> None:
    run(tiny_config("source-only"), tiny.sets, tmp_path / "source")
    start = tmp_path / "source/checkpoints/step-000002"
    run(tiny.config, tiny.sets, tmp_path / "fork", start)
    run(tiny.config, tiny.sets, tmp_path / "whole")
    fork, whole = lines(tmp_path / "fork"), lines(tmp_path / "whole")[2:]
    assert [line["source"] for line in fork][:1] == [line["source"] for line in whole][:1]


def test_a_loss_that_is_no_number_is_named_and_the_last_checkpoint_stays(
    tiny: Tiny, tmp_path: Path
) -> None:
    interrupted(tiny.config, tiny, tmp_path, 4)
    place = tmp_path / "checkpoints/step-000004"
    before = store.load(place)
    poisoned = {name: tensor.clone() for name, tensor in before.tensors.items()}
    poisoned["network/decoder.scores.bias"][0] = float("nan")
    patch = pytest.MonkeyPatch()
    patch.setattr(store, "load_latest", lambda *_: type(before)(4, before.config, poisoned))
    with pytest.raises(DivergedError, match=r"step 4: .*source is nan"):
        run(tiny.config, tiny.sets, tmp_path)
    patch.undo()
    assert [path.name for path in store.saved(tmp_path / "checkpoints")][-1] == place.name
    run(tiny.config, tiny.sets, tmp_path)
    assert lines(tmp_path)[-1]["step"] == 6


def test_another_configuration_is_named_by_its_keys(tiny: Tiny, tmp_path: Path) -> None:
    run(tiny.config, tiny.sets, tmp_path)
    other = tiny_config("idpl", adversarial=0.5)
    with pytest.raises(CheckpointError, match=r"method\.adversarial: 0\.01, not 0\.5"):
        run(other, tiny.sets, tmp_path)


def test_only_keys_that_change_no_step_may_differ() -> None:
    document = as_document(tiny_config())
    for key in store.MAY_DIFFER:
        part, name = key.split(".")
        assert name in document[part]
