"""The generated code is what the .proto files say, and needs no generator at run time."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

REPOSITORY = Path(__file__).resolve().parents[3]
PROTOS = REPOSITORY / "snapshotter/service/protos"
STEMS = sorted(path.stem for path in PROTOS.glob("*.proto"))


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("protos")
    command = [sys.executable, str(REPOSITORY / "scripts/protos"), str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return output / PROTOS.relative_to(REPOSITORY)


def without_versions(text: str) -> str:
    """Drop what depends on the generators' versions alone."""
    text = re.sub(r"# Protobuf Python Version: .*", "", text)
    text = re.sub(r"ValidateProtobufRuntimeVersion\([^)]*\)", "", text)
    return re.sub(r"GRPC_GENERATED_VERSION = .*", "", text)


def test_generated_files_are_current(regenerated: Path) -> None:
    names = {path.name for path in regenerated.iterdir()}
    checked_in = {path.name for path in PROTOS.iterdir() if "_pb2" in path.name}
    assert checked_in == names
    for name in names:
        old, new = (PROTOS / name).read_text(), (regenerated / name).read_text()
        assert without_versions(old) == without_versions(new), f"{name}: run scripts/protos"


@pytest.mark.parametrize("stem", STEMS)
def test_no_module_needs_the_generator(stem: str) -> None:
    script = (
        f"import sys, snapshotter.service.protos.{stem}_pb2\n"
        "assert not [name for name in sys.modules if name.startswith('grpc_tools')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)


def descriptor(stem: str) -> FileDescriptorProto:
    module = importlib.import_module(f"snapshotter.service.protos.{stem}_pb2")
    found = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(found)
    return found


def fields(stem: str) -> dict[str, list[str]]:
    return {
        message.name: [f"{field.name}={field.number}" for field in message.field]
        for message in descriptor(stem).message_type
    }


def test_field_numbers_are_containerds() -> None:
    assert descriptor("snapshots").package == "containerd.services.snapshots.v1"
    assert descriptor("mount").package == "containerd.types"
    create = ["snapshotter=1", "key=2", "parent=3", "labels=4"]
    assert fields("mount") == {"Mount": ["type=1", "source=2", "target=3", "options=4"]}
    assert fields("snapshots") == {
        "PrepareSnapshotRequest": create,
        "PrepareSnapshotResponse": ["mounts=1"],
        "ViewSnapshotRequest": create,
        "ViewSnapshotResponse": ["mounts=1"],
        "MountsRequest": ["snapshotter=1", "key=2"],
        "MountsResponse": ["mounts=1"],
        "RemoveSnapshotRequest": ["snapshotter=1", "key=2"],
        "CommitSnapshotRequest": ["snapshotter=1", "name=2", "key=3", "labels=4", "parent=5"],
        "StatSnapshotRequest": ["snapshotter=1", "key=2"],
        "Info": ["name=1", "parent=2", "kind=3", "created_at=4", "updated_at=5", "labels=6"],
        "StatSnapshotResponse": ["info=1"],
        "UpdateSnapshotRequest": ["snapshotter=1", "info=2", "update_mask=3"],
        "UpdateSnapshotResponse": ["info=1"],
        "ListSnapshotsRequest": ["snapshotter=1", "filters=2"],
        "ListSnapshotsResponse": ["info=1"],
        "UsageRequest": ["snapshotter=1", "key=2"],
        "UsageResponse": ["size=1", "inodes=2"],
        "CleanupRequest": ["snapshotter=1"],
    }
    (service,) = descriptor("snapshots").service
    assert [method.name for method in service.method] == [
        "Prepare",
        "View",
        "Mounts",
        "Commit",
        "Remove",
        "Stat",
        "Update",
        "List",
        "Usage",
        "Cleanup",
    ]
    assert [method.name for method in service.method if method.server_streaming] == ["List"]
