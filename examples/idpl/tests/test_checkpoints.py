"""Checkpoints that are damaged, half written, foreign or old."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny import Tiny, run, tiny_config

from idpl.checkpoint import store
from idpl.checkpoint.manifest import NAME
from idpl.checkpoint.snapshot import Snapshot
from idpl.errors import CheckpointError
from idpl.together import Together
from idpl.training.loop import make_state
from idpl.training.state import restore

TENSORS = {"network/a": torch.arange(1000.0), "method/b": torch.tensor(3)}


def saved(out: Path, step: int, keep: int = 9) -> Path:
    return store.save(out, Snapshot(step, {"seed": 1}, TENSORS), keep, Together())


def said() -> tuple[list[str], store.Say]:
    heard: list[str] = []
    return heard, heard.append


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    found = store.load(saved(tmp_path, 3))
    assert (found.step, dict(found.config)) == (3, {"seed": 1})
    assert all(torch.equal(found.tensors[name], TENSORS[name]) for name in TENSORS)
    assert found.part("network").keys() == {"a"}


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        saved(tmp_path, step, keep=2)
    assert [place.name for place in store.saved(tmp_path)] == ["step-000004", "step-000005"]


@pytest.mark.parametrize("length", [0, 10, -1])
def test_a_half_written_one_is_named_and_the_one_before_is_used(
    tmp_path: Path, length: int
) -> None:
    saved(tmp_path, 1)
    file = saved(tmp_path, 2) / "tensors.pt"
    file.write_bytes(file.read_bytes()[:length])
    heard, say = said()
    found = store.load_latest(tmp_path, say)
    assert found is not None
    assert found.step == 1
    assert "step-000002: tensors.pt has" in heard[0]
    assert len(store.saved(tmp_path)) == 2


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    file = saved(tmp_path, 2) / "tensors.pt"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="is not what was written"):
        store.load(file.parent)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    place = saved(tmp_path, 2)
    (place / "tensors.pt").unlink()
    with pytest.raises(CheckpointError, match=r"tensors\.pt is missing"):
        store.load(place)


def test_what_an_interrupted_save_left_is_nobodys_checkpoint(tmp_path: Path) -> None:
    shutil.copytree(saved(tmp_path, 2), tmp_path / "step-000003.part")
    assert [place.name for place in store.saved(tmp_path)] == ["step-000002"]
    saved(tmp_path, 3)
    assert not list(tmp_path.glob("*.part"))


def test_another_version_is_named_not_guessed_at(tmp_path: Path) -> None:
    place = saved(tmp_path, 2)
    document = json.loads((place / NAME).read_text())
    (place / NAME).write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(CheckpointError, match="format 99, this program reads 1"):
        store.load(place)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "files": 3}']
)
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    place = saved(tmp_path, 2)
    (place / NAME).write_text(text)
    with pytest.raises(CheckpointError, match="manifest"):
        store.load(place)


def test_where_none_is_whole_nothing_starts_anew(tmp_path: Path) -> None:
    for step in (1, 2):
        (saved(tmp_path, step) / "tensors.pt").write_bytes(b"")
    _, say = said()
    with pytest.raises(CheckpointError, match="none of 2 checkpoints"):
        store.load_latest(tmp_path, say)
    assert len(store.saved(tmp_path)) == 2


def test_a_run_without_checkpoints_starts_at_its_beginning(tmp_path: Path) -> None:
    _, say = said()
    assert store.load_latest(tmp_path, say) is None


def test_tensors_of_another_network_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    run(tiny.config, tiny.sets, tmp_path)
    snapshot = store.load(tmp_path / "checkpoints/step-000006")
    state = make_state(tiny_config("entropy-adversarial"), tiny.sets)
    with pytest.raises(CheckpointError, match="the checkpoint's method does not fit"):
        restore(state, snapshot)
