"""nerdctl itself, by the second name that docs/clients.md gives the plugin."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from aliased import ALIAS, alias
from small_image import SmallImage, indexed_image
from whole import Whole, whole

from benchmarks.lab.workdir import work_directory
from tooling.nerdctl import NERDCTL

pytestmark = pytest.mark.containers

NAMESPACE = "nerdctl-test"


@dataclass
class Nerdctl:
    """The program, talking to a node's containerd."""

    node: Whole

    def __call__(self, *arguments: str) -> str:
        containerd = self.node.containerd
        options = ["--address", str(containerd.socket), "--namespace", NAMESPACE]
        options += ["--snapshotter", ALIAS, "--hosts-dir", str(containerd.certs)]
        options += ["--data-root", str(self.node.directory / "nerdctl")]
        options += ["--cni-netconfpath", str(self.node.directory / "cni")]
        done = subprocess.run(
            [*containerd.prefix, str(NERDCTL.ensure()), *options, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with (
        work_directory() as directory,
        whole(directory, "fill:\n  rate: 0\n", more=alias(directory)) as made,
    ):
        yield made


def test_nerdctl_pulls_lazily_runs_and_removes(node: Whole) -> None:
    image: SmallImage = indexed_image(node)
    nerdctl = Nerdctl(node)
    before = node.registry.bytes_of(image.layers[1])
    nerdctl("pull", "--quiet", image.reference)
    assert node.registry.bytes_of(image.layers[1]) == before, "nothing of the layer was fetched"
    assert image.reference in nerdctl("images", "--format", "{{.Repository}}:{{.Tag}}")

    run = ["run", "--rm", "--net", "none", "--pull", "never", image.reference]
    said = nerdctl(*run, "/bin/sha256sum", "/data/1/file-1")
    assert image.contents["/data/1/file-1"] in said
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4

    nerdctl("rmi", "--force", image.reference)
    listed = nerdctl("images", "--quiet")
    assert not listed.strip()
