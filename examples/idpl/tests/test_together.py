"""Several processes that train as one, started by torchrun."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import DOCUMENT

from idpl.checkpoint import manifest, sharded, store
from idpl.errors import CheckpointError

EXAMPLE = Path(__file__).parents[1]


def document(method: str, **training: Any) -> dict[str, Any]:
    """A configuration without dropout, whose chance differs between processes."""
    return DOCUMENT | {
        "network": {"width": 8, "dropout": 0.0},
        "training": {**DOCUMENT["training"], **training},
        "method": {**DOCUMENT["method"], "name": method},
    }


def launcher(directory: Path, processes: int) -> list[str]:
    """Return torchrun, as the README says that Debian's PyTorch must be asked."""
    words = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    words.append(f"--log_dir={directory / 'said'}")
    if sharded.available():
        store = directory / f"store-{time.monotonic_ns()}"
        words += ["--rdzv_backend=c10d", f"--rdzv_endpoint={store}", "--local-addr=127.0.0.1"]
        return [*words, "--rdzv_conf=store_type=file"]
    words += ["--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    return [*words, "--redirects=1", "--tee=1"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def train(directory: Path, config: dict[str, Any], out: Path, processes: int) -> str:
    path = directory / f"{out.name}.yaml"
    path.write_text(yaml.safe_dump(config))
    before = launcher(directory, processes) if processes > 1 else []
    argv = [sys.executable, *before, "-m", "idpl", "train"]
    argv += ["--config", str(path), "--out", str(out)]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{EXAMPLE}:{os.environ.get('PYTHONPATH', '')}",
        "USE_LIBUV": "0",
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    done = subprocess.run(
        argv, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def losses(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_do_what_one_does_and_one_goes_on_from_their_shards(tmp_path: Path) -> None:
    config = document("fixed-threshold", steps=4)
    train(tmp_path, config, tmp_path / "one", 1)
    said = train(tmp_path, config, tmp_path / "two", 2)
    for alone, together in zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True):
        assert together == pytest.approx(alone, rel=1e-3, abs=1e-5)
    place = tmp_path / "two/checkpoints/step-000002"
    written = manifest.read(place)
    assert written.world == 2
    if sharded.available():
        assert written.kind == sharded.KIND
        assert {"__0_0.distcp", "__1_0.distcp"} <= set(written.files)
        sizes = [size for name, (size, _) in written.files.items() if name.endswith(".distcp")]
        assert min(sizes) > sum(sizes) / 5
    else:
        assert written.kind == "file"
        assert "has no shards: the first process writes checkpoints whole" in said
    resharded(tmp_path)


def resharded(directory: Path) -> None:
    """Go on, from the middle, with one process in place of two: the losses are the same."""
    out = directory / "two"
    before = losses(out)
    for place in store.saved(out / "checkpoints")[1:]:
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
    said = train(directory, document("fixed-threshold", steps=4), out, 1)
    assert "resumed at step 2 of 4" in said
    for once, again in zip(before, losses(out), strict=True):
        assert again == pytest.approx(once, rel=1e-3, abs=1e-5)


def test_what_one_process_saved_two_go_on_with(tmp_path: Path) -> None:
    config = document("idpl", steps=4, checkpoint_every=3)
    train(tmp_path, config, tmp_path / "run", 1)
    last = tmp_path / "run/checkpoints/step-000004"
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    said = train(tmp_path, config, tmp_path / "run", 2)
    assert "resumed at step 3 of 4" in said
    assert losses(tmp_path / "run")[-1]["step"] == 4


def test_shards_that_this_pytorch_cannot_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharded, "available", lambda: False)
    with pytest.raises(CheckpointError, match="cannot read"):
        sharded.read(tmp_path)
