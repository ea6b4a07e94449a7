"""Installing on a node, the parts without a system: texts for containerd, files in a tree."""

import datetime as dt
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tooling.node import layouts
from tooling.node.containerd_files import (
    drop_in,
    merged,
    template_with_import,
    with_import,
    without_import,
)
from tooling.node.files import File, Tree, link
from tooling.node.toml_text import dumps
from tooling.places import REPOSITORY
from tooling.running import SetupError

CONFIG = REPOSITORY / "config" / "containerd"
PLAIN = layouts.plain(2)
DROP_IN = PLAIN.drop_in
CRI_1 = "io.containerd.grpc.v1.cri"
CRI_2 = "io.containerd.cri.v1.images"

VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates()
    | st.datetimes(timezones=st.just(dt.UTC)),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_written_toml_is_read_back_as_it_was(table: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(table)) == table


def test_tables_are_merged_at_every_depth() -> None:
    base = {"a": {"b": {"c": 1, "d": 2}}, "e": 3}
    assert merged(base, {"a": {"b": {"c": 9}}, "e": {"f": 4}}) == {
        "a": {"b": {"c": 9, "d": 2}},
        "e": {"f": 4},
    }


@pytest.mark.parametrize("name", ["1.x.toml", "2.x.toml"])
def test_shipped_snippet_names_one_socket_and_one_snapshotter(name: str) -> None:
    table = tomllib.loads((CONFIG / name).read_text())
    assert table["proxy_plugins"]["bootseer"]["address"] == "/run/bootseer/snapshotter.sock"
    assert table["proxy_plugins"]["bootseer"]["exports"]["root"] == "/var/lib/bootseer"
    cri = table["plugins"].get(CRI_2) or table["plugins"][CRI_1]["containerd"]
    assert cri["snapshotter"] == "bootseer"
    assert cri["disable_snapshot_annotations"] is False


def test_drop_in_for_2_is_the_snippet_for_this_platform() -> None:
    template = (CONFIG / "2.x.toml").read_text()
    text = drop_in(template, "version = 3\n", PLAIN, platform="linux/arm64", major=2)
    entries = tomllib.loads(text)["plugins"]["io.containerd.transfer.v1.local"]["unpack_config"]
    assert entries == [{"platform": "linux/arm64", "snapshotter": "bootseer"}]


def test_drop_in_for_1_repeats_what_the_main_file_says_of_the_same_plugin() -> None:
    main = f"""
version = 2
[plugins."{CRI_1}"]
  sandbox_image = "registry.test/pause:3.9"
  [plugins."{CRI_1}".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"
[plugins."io.containerd.internal.v1.opt"]
  path = "/opt/other"
"""
    text = drop_in((CONFIG / "1.x.toml").read_text(), main, PLAIN, platform="linux/amd64", major=1)
    plugins = tomllib.loads(text)["plugins"]
    assert set(plugins) == {CRI_1}
    assert plugins[CRI_1]["sandbox_image"] == "registry.test/pause:3.9"
    assert plugins[CRI_1]["containerd"] == {
        "default_runtime_name": "runc",
        "snapshotter": "bootseer",
        "disable_snapshot_annotations": False,
        "discard_unpacked_layers": False,
    }


@pytest.mark.parametrize(
    "main",
    [
        "version = 2\n\n[plugins]\n",
        "# comment\nversion = 3 # new\nroot = '/x'\n",
        '[plugins."a"]\n  version = 7\n',
        "",
        "oom_score = -5",
    ],
)
def test_import_is_added_changes_nothing_else_and_is_taken_out_again(main: str) -> None:
    changed = with_import(main, PLAIN, major=2)
    assert tomllib.loads(changed) == {
        **tomllib.loads(main),
        "imports": ["/etc/containerd/conf.d/*.toml"],
    }
    assert with_import(changed, PLAIN, major=2) == changed
    removed = without_import(changed, PLAIN)
    assert removed is not None
    assert tomllib.loads(removed) == tomllib.loads(main)


def test_main_file_that_imports_the_drop_in_already_stays_as_it_is() -> None:
    for pattern in ("/etc/containerd/conf.d/*.toml", DROP_IN, "/etc/containerd/*/*.toml"):
        main = f'version = 3\nimports = ["/a.toml", "{pattern}"]\n'
        assert with_import(main, PLAIN, major=2) == main
        assert without_import(main, PLAIN) == main


def test_main_file_with_other_imports_is_left_to_its_owner() -> None:
    with pytest.raises(SetupError, match="add it to the list"):
        with_import('imports = ["/etc/containerd/other/*.toml"]\n', PLAIN, major=2)


def test_main_file_that_is_no_toml_is_refused() -> None:
    with pytest.raises(SetupError, match="not valid TOML"):
        with_import("version = \n", PLAIN, major=2)


@pytest.mark.parametrize(("major", "version"), [(1, 2), (2, 3)])
def test_missing_main_file_is_made_and_removed_again(major: int, version: int) -> None:
    made = with_import(None, PLAIN, major=major)
    assert tomllib.loads(made)["version"] == version
    assert without_import(made, PLAIN) is None


K3S = layouts.k3s(2)
K3S_LINE = (
    'imports = ["/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d/*.toml"]'
    " # added by bootseer's bootstrap-node\n"
)


@pytest.mark.parametrize("made", [None, "version = 3\n[grpc]\n  address = 'x'\n"])
@pytest.mark.parametrize("template", [None, '{{ template "base" . }}\n[debug]\n  level = "info"\n'])
def test_template_of_a_k3s_without_imports_gets_one_and_loses_it_again(
    made: str | None, template: str | None
) -> None:
    changed = template_with_import(template, made, K3S)
    assert changed == K3S_LINE + (template or '{{ template "base" . }}\n')
    rendered = changed.replace('{{ template "base" . }}', made or "version = 3")
    assert template_with_import(changed, rendered, K3S) == changed
    assert without_import(changed, K3S) == template


def test_a_k3s_that_imports_the_directory_by_itself_needs_no_template() -> None:
    made = f'version = 3\nimports = ["{K3S.imports}"]\n'
    assert template_with_import(None, made, K3S) is None


def test_our_import_goes_once_an_upgraded_k3s_brings_its_own() -> None:
    template = K3S_LINE + '{{ template "base" . }}\n'
    made = K3S_LINE + "version = 3\n" + K3S_LINE
    assert template_with_import(template, made, K3S) == '{{ template "base" . }}\n'
    more = template + "[debug]\n  level = 'debug'\n"
    assert (
        template_with_import(more, made, K3S)
        == "{{ template \"base\" . }}\n[debug]\n  level = 'debug'\n"
    )


@pytest.mark.parametrize("made", ["version = \n", 'imports = ["/elsewhere/*.toml"]\n'])
def test_a_template_with_somebody_elses_imports_is_left_to_its_owner(made: str) -> None:
    with pytest.raises(SetupError):
        template_with_import('{{ template "base" . }}\n', made, K3S)


@pytest.mark.parametrize("name", ["k3s", "rke2"])
def test_a_node_of_a_distribution_is_known_by_its_directory(name: str) -> None:
    there = f"/var/lib/rancher/{name}/agent/etc/containerd"
    assert layouts.found(lambda path: path == there) == name
    assert layouts.found(lambda _: False) == "plain"
    assert layouts.LAYOUTS[name](1).drop_in == f"{there}/config.toml.d/bootseer.toml"
    assert layouts.LAYOUTS[name](2).edited == f"{there}/config-v3.toml.tmpl"


def test_file_is_written_once_and_rewritten_when_it_differs(tmp_path: Path) -> None:
    tree, file = Tree(tmp_path), File("/etc/bootseer/unit", "text", 0o600)
    assert tree.put(file) == "written"
    assert tree.put(file) == "unchanged"
    assert tree.at(file.path).stat().st_mode & 0o777 == 0o600
    tree.at(file.path).write_text("edited")
    assert tree.put(file) == "written"
    assert tree.remove(file) == "removed"
    assert tree.remove(file) == "unchanged"
    assert not (tmp_path / "etc/bootseer").exists()


def test_file_that_is_somebodys_to_edit_is_kept(tmp_path: Path) -> None:
    tree, file = Tree(tmp_path), File("/etc/bootseer/bootseer.yaml", "default", keep=True)
    assert tree.put(file) == "written"
    tree.at(file.path).write_text("edited")
    assert tree.put(file) == "kept"
    assert tree.remove(file) == "kept"
    tree.at(file.path).write_text("default")
    assert tree.remove(file) == "removed"


def test_link_is_made_and_turned(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert tree.put(link("/opt/current", "one")) == "written"
    assert tree.put(link("/opt/current", "one")) == "unchanged"
    assert tree.put(link("/opt/current", "two")) == "written"
    assert str((tmp_path / "opt/current").readlink()) == "two"


def test_dry_run_changes_nothing(tmp_path: Path) -> None:
    dry, file = Tree(tmp_path, dry=True), File("/etc/file", "text")
    assert dry.put(file) == "written"
    assert list(tmp_path.iterdir()) == []
    Tree(tmp_path).put(file)
    assert dry.remove(file) == "removed"
    assert (tmp_path / "etc/file").exists()


def test_unit_starts_the_command_that_is_installed() -> None:
    unit = (REPOSITORY / "config/systemd/bootseer-snapshotter.service").read_text()
    assert (
        "ExecStart=/opt/bootseer/bin/bootseer snapshotter serve"
        " --config /etc/bootseer/bootseer.yaml\n" in unit
    )
    for forbidden in ("PrivateTmp=", "ProtectSystem=", "PrivateMounts=", "ReadOnlyPaths="):
        assert forbidden not in unit
