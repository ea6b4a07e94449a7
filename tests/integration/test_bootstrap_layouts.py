"""`scripts/bootstrap-node` on nodes laid out like k3s and kind; containerd reads the result."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tooling import containerd
from tooling.places import REPOSITORY

pytestmark = pytest.mark.containers

IMAGES = "io.containerd.cri.v1.images"
# What k3s makes of its base template, in the parts that matter here.
K3S_BASE = """\
version = 3
root = "/var/lib/rancher/k3s/agent/containerd"
state = "/run/k3s/containerd"
{imports}
[grpc]
  address = "/run/k3s/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  disable_snapshot_annotations = true
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
"""
KIND = """\
version = 3
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  discard_unpacked_layers = false
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
"""
BASE = '{{ template "base" . }}'


def bootstrap(root: Path, *arguments: str) -> str:
    command = [str(REPOSITORY / "scripts/bootstrap-node"), "--root", str(root)]
    command += ["--containerd", "2", "--only-containerd", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr


def effective(root: Path, config: Path, text: str) -> dict[str, Any]:
    """Return what containerd makes of a configuration, its imports turned to where they lie."""
    directory = containerd.find()
    assert directory is not None
    seen = config.with_name("seen.toml")
    seen.write_text(text.replace('imports = ["/', f'imports = ["{root}/'))
    command = [str(directory / "containerd"), "--config", str(seen), "config", "dump"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return tomllib.loads(answer.stdout)


def uses_bootseer(found: dict[str, Any]) -> bool:
    cri = found["plugins"][IMAGES]
    assert cri["disable_snapshot_annotations"] is False
    assert found["proxy_plugins"]["bootseer"]["address"] == "/run/bootseer/snapshotter.sock"
    return bool(cri["snapshotter"] == "bootseer")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    directory = tmp_path / "var/lib/rancher/k3s/agent/etc/containerd"
    directory.mkdir(parents=True)
    return directory


def test_k3s_gets_a_template_that_imports_the_drop_in(tmp_path: Path, etc: Path) -> None:
    before = K3S_BASE.format(imports="")
    (etc / "config.toml").write_text(before)
    assert "config-v3.toml.d/bootseer.toml" in bootstrap(tmp_path)
    template = (etc / "config-v3.toml.tmpl").read_text()
    found = effective(tmp_path, etc / "config.toml", template.replace(BASE, before))
    assert uses_bootseer(found)
    assert found["root"] == "/var/lib/rancher/k3s/agent/containerd"
    assert (etc / "config.toml").read_text() == before
    settings = (tmp_path / "etc/bootseer/bootseer.yaml").read_text()
    assert "\ncontainerd: /run/k3s/containerd/containerd.sock\n" in settings
    assert "config_path: /var/lib/rancher/k3s/agent/etc/containerd/certs.d\n" in settings
    assert not (tmp_path / "opt").exists()

    # It starts again: what the template made is there now, and nothing is to be done.
    (etc / "config.toml").write_text(template.replace(BASE, before))
    assert "written" not in bootstrap(tmp_path)
    bootstrap(tmp_path, "--uninstall")
    assert sorted(path.name for path in etc.iterdir()) == ["config.toml", "seen.toml"]


def test_k3s_that_imports_a_directory_gets_nothing_but_the_drop_in(
    tmp_path: Path, etc: Path
) -> None:
    line = f'imports = ["/{etc.relative_to(tmp_path)}/config-v3.toml.d/*.toml"]'
    made = K3S_BASE.format(imports=line)
    (etc / "config.toml").write_text(made)
    bootstrap(tmp_path)
    assert not (etc / "config-v3.toml.tmpl").exists()
    assert uses_bootseer(effective(tmp_path, etc / "config.toml", made))


def test_kind_has_containerd_where_distributions_have_it(tmp_path: Path) -> None:
    main = tmp_path / "etc/containerd/config.toml"
    main.parent.mkdir(parents=True)
    main.write_text(KIND)
    bootstrap(tmp_path)
    found = effective(tmp_path, main, main.read_text())
    assert uses_bootseer(found)
    runtime = found["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["containerd"]["default_runtime_name"] == "runc"
    bootstrap(tmp_path, "--uninstall")
    assert main.read_text() == KIND
