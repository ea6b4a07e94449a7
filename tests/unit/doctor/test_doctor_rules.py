import socket
from pathlib import Path

import pytest

from bootseer.cli.doctor import show
from bootseer.doctor.findings import Finding, State, worst
from bootseer.doctor.host import (
    check_containerd,
    check_containerd_socket,
    check_daemon,
    check_state_directory,
    judge_config,
)
from bootseer.doctor.kernel import judge_filesystem, judge_release, parse_release


@pytest.mark.parametrize(
    ("release", "state", "words"),
    [
        ("6.18.44-generic", State.OK, ""),
        ("6.8.0-31-generic", State.WARN, "loop devices"),
        ("6.8.0-31-generic", State.WARN, "hang"),
        ("6.11.0", State.WARN, "loop devices"),
        ("5.4.0-100", State.FAIL, "6.12"),
        ("nonsense", State.FAIL, "6.12"),
    ],
)
def test_a_kernel_is_judged_by_its_release(release: str, state: State, words: str) -> None:
    finding = judge_release(release)
    assert finding.state is state
    assert words in finding.mend


def test_releases_are_compared_as_numbers() -> None:
    assert parse_release("6.9.1") < parse_release("6.12.0-rc1")


def test_a_missing_file_system_says_what_to_load() -> None:
    assert judge_filesystem("erofs", "nodev\tproc\n\text4\n", "x").mend.startswith("modprobe erofs")
    assert judge_filesystem("erofs", "nodev\tproc\n\terofs\n", "x").state is State.OK


def test_an_unwritable_root_is_a_failure_with_a_way_out(tmp_path: Path) -> None:
    assert check_state_directory(tmp_path / "not" / "there")[0].state is State.OK
    assert check_state_directory(Path("/proc/bootseer"))[0].state is State.FAIL


def test_a_silent_socket_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert check_daemon(path).state is State.WARN
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert check_daemon(path).state is State.OK


def test_a_plugin_at_another_address_fails() -> None:
    document = {"proxy_plugins": {"bootseer": {"address": "/other.sock"}}}
    assert judge_config(document, "/run/s.sock", "bootseer")[0].state is State.FAIL
    assert judge_config({}, "/run/s.sock", "bootseer")[0].state is State.WARN


def test_rebase_is_refused_because_it_breaks_lazy_pulls() -> None:
    plugin = {"address": "/run/s.sock", "capabilities": ["rebase"]}
    findings = judge_config({"proxy_plugins": {"bootseer": plugin}}, "/run/s.sock", "bootseer")
    assert [f.state for f in findings] == [State.FAIL]


def test_a_config_that_does_not_parse_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "containerd"
    binary.write_text("#!/bin/sh\necho containerd x v2.4.2\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config = tmp_path / "config.toml"
    config.write_text("version = [")
    assert str(config) in check_containerd("/s", "bootseer", config)[-1].detail


def test_a_containerd_that_is_not_there_is_a_warning_with_its_socket(tmp_path: Path) -> None:
    assert check_containerd_socket("") == []
    (finding,) = check_containerd_socket(str(tmp_path / "c.sock"))
    assert finding.state is State.WARN
    assert str(tmp_path / "c.sock") in finding.detail


def test_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show([Finding("plugin", State.WARN, "no [proxy_plugins.bootseer]", "see [it]")])
    assert "no [proxy_plugins.bootseer]" in capsys.readouterr().out


def test_the_worst_finding_decides() -> None:
    ok, warn = Finding("a", State.OK, ""), Finding("b", State.WARN, "")
    assert worst([]) is State.OK
    assert worst([warn, ok]) is State.WARN
    assert worst([ok, Finding("c", State.FAIL, ""), warn]) is State.FAIL
