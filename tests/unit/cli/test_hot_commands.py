"""`bootseer hot` against a real registry."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bootseer.blobs.directory import DirectoryBlobs
from bootseer.cli.hot import COMMANDS, group
from bootseer.cli.main import run
from bootseer.errors import CorruptError
from snapshotter.hot.merge import merge
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hotstore.blobs import BlobHotStore
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.layers.records import BLOCK
from snapshotter.ports import ImageKey
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference
from tests.image_maker import MadeImage, layer_of, push_image
from tests.registry_fixture import ALONE, RunningRegistry, registry

__all__ = ["registry"]

PLATFORM = ["--platform", "linux/amd64"]
LAYER = HotLayer(f"sha256:{1:064x}", f"sha256:{2:064x}", 20 * BLOCK)


def with_registry(work: Callable[[RegistryClient], Awaitable[object]]) -> object:
    async def inside() -> object:
        async with RegistryClient(ALONE) as client:
            return await work(client)

    return asyncio.run(inside())


def image(reference: str) -> MadeImage:
    layers = [layer_of({"a": b"a" * 9000})]
    made = with_registry(lambda client: push_image(client, parse_reference(reference), layers))
    assert isinstance(made, MadeImage)
    return made


def record(made: MadeImage, workload: str, created: int) -> Record:
    return Record(
        manifest_digest=made.digest,
        workload=workload,
        created=created,
        window_ms=1000,
        length_ms=1000,
        ended=Ended.WINDOW,
        kernel="6.18",
        architecture="x86_64",
        layers=(LAYER,),
        ranges=make_ranges([(0, 3, 2)]),
        time_ms=np.zeros(1, dtype=np.int64),
    )


def test_ls_shows_records_and_packs_of_all_workloads(
    registry: RunningRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"{registry.host}/cli/hot:1"
    made = image(reference)
    key = ImageKey(reference, made.digest)
    pack = tmp_path / "pack"
    pack.write_bytes(b"pack")

    async def publish(client: RegistryClient) -> None:
        store = RegistryHotStore(client)
        await store.publish_record(key, record(made, "", 1_700_000_000))
        train = record(made, "train", 1_800_000_000)
        await store.publish_record(key, train)
        runs = [train, replace(train, created=1_800_000_001)]
        await store.publish_pack(key, merge(runs), pack)

    assert run(["hot", "ls", reference, "--json", *PLATFORM]) == 0
    assert json.loads(capsys.readouterr().out)["stored"] == []
    with_registry(publish)
    assert run(["hot", "ls", reference, "--json", *PLATFORM]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["manifest"] == made.digest
    stored = [(one["kind"], one["workload"], one["runs"]) for one in document["stored"]]
    assert sorted(stored) == [("pack", "train", 2), ("records", "", 1), ("records", "train", 1)]
    assert {one["created"] for one in document["stored"]} >= {"2023-11-14T22:13:20+00:00"}
    assert next(one["size"] for one in document["stored"] if one["kind"] == "pack") == 4
    assert run(["hot", "ls", reference, *PLATFORM]) == 0
    shown = capsys.readouterr().out
    assert "2027-01-15 08:00:00  train" in shown
    assert "2023-11-14 22:13:20  (default)" in shown


def test_pack_makes_and_publishes_the_pack_of_what_was_recorded(
    registry: RunningRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"{registry.host}/cli/packed:1"
    made = image(reference)
    key = ImageKey(reference, made.digest)
    area = HotLayer(made.layers[0].digest, f"sha256:{2:064x}", 3 * BLOCK)
    run_of_it = replace(record(made, "train", 1), layers=(area,), ranges=make_ranges([(0, 1, 2)]))
    with_registry(lambda client: RegistryHotStore(client).publish_record(key, run_of_it))
    assert run(["hot", "pack", reference, *PLATFORM, "--json"]) == 3
    assert "default workload" in capsys.readouterr().err
    arguments = ["hot", "pack", reference, "--workload", "train", "--level", "3", *PLATFORM]
    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err == ""  # no progress where nobody watches
    assert (document["runs"], document["layers"], document["blocks"]) == (1, 1, 2)
    assert document["hot_size"] == 2 * BLOCK
    assert run(arguments) == 0
    assert "8.2 kB of 1 layers, from 1 runs" in capsys.readouterr().out
    assert run(["hot", "ls", reference, "--json", *PLATFORM]) == 0
    stored = json.loads(capsys.readouterr().out)["stored"]
    packs = [one for one in stored if one["kind"] == "pack"]
    assert {one["size"] for one in packs} == {document["pack_size"]}


def test_records_and_packs_may_be_in_a_directory(
    registry: RunningRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"{registry.host}/cli/directory:1"
    made = image(reference)
    area = HotLayer(made.layers[0].digest, f"sha256:{2:064x}", 3 * BLOCK)
    store = BlobHotStore(DirectoryBlobs(tmp_path / "store"))
    run_of_it = replace(record(made, "", 1), layers=(area,))
    publishing = store.publish_record(ImageKey(reference, made.digest), run_of_it)
    with pytest.raises(CorruptError):  # its ranges are past the end: nothing is stored
        asyncio.run(publishing)
    run_of_it = replace(run_of_it, ranges=make_ranges([(0, 0, 1)]))
    asyncio.run(store.publish_record(ImageKey(reference, made.digest), run_of_it))
    config = tmp_path / "bootseer.yaml"
    config.write_text(f"hot: {{store: 'file://{tmp_path}/store'}}\n")
    options = ["--config", str(config), *PLATFORM]
    assert run(["hot", "pack", reference, *options]) == 0
    capsys.readouterr()
    assert run(["hot", "ls", reference, "--json", *options]) == 0
    stored = json.loads(capsys.readouterr().out)["stored"]
    assert [one["kind"] for one in stored] == ["pack", "records"]
    assert run(["hot", "ls", reference, "--json", *PLATFORM]) == 0
    assert json.loads(capsys.readouterr().out)["stored"] == []


def test_a_store_that_is_none_is_a_mistake(
    registry: RunningRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"{registry.host}/cli/nowhere:1"
    image(reference)
    config = tmp_path / "bootseer.yaml"
    config.write_text("hot: {store: ftp://x}\n")
    assert run(["hot", "ls", reference, "--config", str(config), *PLATFORM]) == 2
    assert "ftp://x" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_had_and_says_what_its_table_says(name: str) -> None:
    command = group.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(200) == COMMANDS[name].summary
