"""Images that only the credentials of their pull open: seen in passing, and told to nobody."""

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from guarded_registry import (
    FIRST,
    SECOND,
    USER,
    Passwords,
    basic,
    basic_registry,
    docker_config,
    write_plugin,
)
from small_image import SmallImage, small_image
from whole import PLUGIN, LocalRegistry, Whole, bootseer, local_registry, node_of, wait_for

from benchmarks.lab.workdir import work_directory
from tests.integration.protos import cri_pb2 as cri
from tests.integration.protos import cri_pb2_grpc as services

pytestmark = pytest.mark.containers

_MOUNTS = {"blocks", "fs", "bottom", "tracing"}
"""Directories of a daemon's root whose files are not the daemon's."""
REFUSED = 500
"""How often a call is refused in a row: the refusal may come while it is still being sent."""


@dataclass
class Private:
    """A node, and a registry that asks for a password which the node's files do not know."""

    node: Whole
    passwords: Passwords
    image: SmallImage
    images: services.ImageServiceStub
    """The daemon's, in place of containerd's."""
    socket: Path


@pytest.fixture(scope="module")
def private() -> Iterator[Private]:
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        open_one = stack.enter_context(local_registry(directory / "reg"))
        made = small_image(directory / "image", open_one.host)
        registry, passwords = stack.enter_context(basic_registry(open_one, directory / "guard"))
        socket = directory / "i.sock"
        settings = (
            f"  docker_config: {directory / 'config.json'}\n  cri: {socket}\n"
            f"  kubelet_config: {directory / 'plugins.yaml'}\n  kubelet_plugins: {directory}\n"
        )
        node = stack.enter_context(node_of(registry, directory, settings, sandbox="pause:latest"))
        image = _named(made, open_one, registry)
        docker_config(directory / "config.json", registry.host, FIRST)
        bootseer("image", "index", image.reference, "--config", str(node.daemon.config))
        (directory / "config.json").unlink()
        channel = stack.enter_context(grpc.insecure_channel(f"unix://{socket}"))
        images = services.ImageServiceStub(channel)
        wait_for(lambda: _answers(node, socket), "the CRI to answer")
        yield Private(node, passwords, image, images, socket)


def _named(image: SmallImage, pushed: LocalRegistry, read: LocalRegistry) -> SmallImage:
    reference = image.reference.replace(pushed.host, read.host)
    return SmallImage(reference, image.layers, image.sizes, image.contents, image.big)


def _answers(node: Whole, socket: Path) -> bool:
    with grpc.insecure_channel(f"unix://{node.containerd.socket}") as channel:
        try:
            return bool(services.RuntimeServiceStub(channel).Version(cri.VersionRequest()))
        except grpc.RpcError:
            return False


def pull(private: Private, password: str) -> str:
    auth = cri.AuthConfig(username=USER, password=password)
    wanted = cri.PullImageRequest(image=cri.ImageSpec(image=private.image.reference), auth=auth)
    return str(private.images.PullImage(wanted, timeout=120).image_ref)


def read(private: Private, path: str) -> str:
    """Return the digest that a container finds of a file; the kernel has none of it in memory.

    On a busy machine ctr now and then shows nothing of what a container printed that ended well:
    then another one is asked.
    """
    run = ["run", "--rm", "--snapshotter", PLUGIN, private.image.reference]
    cri_images = replace(private.node.containerd, namespace="k8s.io")
    for _ in range(3):
        Path("/proc/sys/vm/drop_caches").write_text("1")
        name = f"c{time.monotonic_ns()}"
        command = cri_images.ctr_command(*run, name, "/bin/sha256sum", path)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.stdout or done.returncode:
            break
    return done.stdout.split(" ")[0] or f"ended with {done.returncode}: {done.stderr}"


def test_a_container_reads_with_its_pulls_credentials_after_restarts_and_longer_than_they_last(
    private: Private,
) -> None:
    contents = private.image.contents
    files = sorted((path for path in contents if path != private.image.big), reverse=True)
    before = private.node.registry.bytes_of(private.image.layers[1])
    with pytest.raises(grpc.RpcError):
        pull(private, SECOND)
    assert pull(private, FIRST).startswith("sha256:")
    assert read(private, files[0]) == contents[files[0]]
    read_so_far = private.node.registry.bytes_of(private.image.layers[1]) - before
    assert read_so_far < private.image.sizes[1] // 2, "it is read lazily"

    private.node.kill_server()
    assert read(private, private.image.big) == contents[private.image.big]

    # Two days later: the pull's password is not good any more, a plugin of the node knows another.
    private.passwords.accept(SECOND)
    write_plugin(private.node.directory, private.node.registry.host, SECOND)
    for path in files[-2:]:
        assert read(private, path) == contents[path]
    assert "chunk.unreadable" not in private.node.daemon.log()


def test_calls_that_only_containerd_knows_are_handed_on(private: Private) -> None:
    with grpc.insecure_channel(f"unix://{private.socket}") as channel:
        for method in ("ListImages", "ImageFsInfo"):
            call = channel.unary_unary(f"/runtime.v1.ImageService/{method}")
            with grpc.insecure_channel(f"unix://{private.node.containerd.socket}") as direct:
                known = direct.unary_unary(f"/runtime.v1.ImageService/{method}")(b"", timeout=20)
            assert len(call(b"", timeout=20)) == len(known)
        for method in ("/runtime.v1.ImageService/None", "/runtime.v1.RuntimeService/Version"):
            for _ in range(REFUSED):
                with pytest.raises(grpc.RpcError) as caught:
                    channel.unary_unary(method)(b"", timeout=20)
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_secrets_are_in_no_log_no_file_no_process_list_and_no_error(private: Private) -> None:
    node = private.node
    with pytest.raises(grpc.RpcError) as caught:
        pull(private, "third-s3cret")
    node.kill_server()
    secrets = ("s3cret", basic(FIRST), basic(SECOND), basic("third-s3cret"))
    said = {
        "log": node.daemon.log(),
        "status": json.dumps(node.daemon.status()),
        "error": str(caught.value),
        "ps": "\n".join(_processes()),
        **{str(path): path.read_bytes().decode("latin-1") for path in _files(node)},
    }
    assert {"snapshots.db", "connection"} <= {Path(where).name for where in said}
    found = {where for where, text in said.items() if any(secret in text for secret in secrets)}
    assert found == set()
    assert stat.S_IMODE(private.socket.stat().st_mode) == 0o600


def _processes() -> Iterator[str]:
    """Yield the command line and environment of every process that is ours."""
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
        except OSError:
            continue
        if b"bootseer" in command and directory.name != str(os.getpid()):
            yield command.decode("latin-1")


def _files(node: Whole) -> Iterator[Path]:
    """Yield the files that the daemon keeps."""
    for top in (node.daemon.root, node.daemon.root.parent / "run"):
        for directory, below, names in os.walk(top):
            below[:] = set(below) - _MOUNTS
            for name in names:
                path = Path(directory) / name
                if path.is_file() and path.stat().st_size < 1 << 22:
                    yield path
