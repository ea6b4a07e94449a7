"""Where registries are asked: defaults, our own options, containerd's hosts.toml."""

import contextlib
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.registry.credentials import Anonymous, InOrder
from snapshotter.registry.hosts import (
    HostOptions,
    HostsDirectory,
    Tls,
    directory_names,
    origin,
    parse_hosts_toml,
)
from snapshotter.registry.logins.docker import DockerConfig
from snapshotter.registry.settings import ClientSettings

HERE = Path("/etc/certs.d/r.io")


@pytest.mark.parametrize(
    ("registry", "base"),
    [
        ("docker.io", "https://registry-1.docker.io/v2"),
        ("r.io", "https://r.io/v2"),
        ("r.io:5000", "https://r.io:5000/v2"),
        ("localhost:5000", "http://localhost:5000/v2"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/v2"),
        ("[::1]:5000", "http://[::1]:5000/v2"),
    ],
)
def test_only_this_machine_is_asked_in_plain_http(registry: str, base: str) -> None:
    assert origin(registry).base == base
    assert not origin(registry).mirror


def test_options_of_ours_decide_about_plain_http() -> None:
    assert origin("r.io", HostOptions(plain_http=True)).plain_http
    assert not origin("localhost", HostOptions(plain_http=False)).plain_http


def test_hosts_toml_is_read_as_containerd_reads_it() -> None:
    text = """
        server = "https://r.io"
        [host."https://mirror:5000"]
          capabilities = ["pull", "resolve", "referrers"]
          ca = "mirror.crt"
          skip_verify = true
          client = [["a.cert", "a.key"], ["b.pem", ""]]
          dial_timeout = "3s"
        [host."https://mirror:5000".header]
          x-key = "v"
          x-list = ["1", "2"]
        [host."http://harbor/v2/proxy/"]
          override_path = true
          ca = ["/abs.crt", "rel.crt"]
        [host."plain-name/path"]
    """
    mirror, harbor, plain, last = parse_hosts_toml(text, origin("r.io"), HERE)
    assert mirror.base == "https://mirror:5000/v2"
    assert mirror.capabilities == {"pull", "resolve"}
    assert mirror.headers == (("x-key", "v"), ("x-list", "1"), ("x-list", "2"))
    clients = ((str(HERE / "a.cert"), str(HERE / "a.key")), (str(HERE / "b.pem"), None))
    assert mirror.tls == Tls((str(HERE / "mirror.crt"),), clients, skip_verify=True)
    assert mirror.credential_host == "mirror:5000"
    assert (mirror.dial_timeout, harbor.dial_timeout) == (3.0, None)
    assert harbor.base == "http://harbor/v2/proxy"
    assert harbor.tls.ca == ("/abs.crt", str(HERE / "rel.crt"))
    assert plain.base == "https://plain-name/path/v2"
    assert (last.base, last.mirror, last.credential_host) == ("https://r.io/v2", False, "r.io")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1m30s", 90.0), ("1.5s", 1.5), ("2h", 7200.0), ("", None)],
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float | None) -> None:
    (mirror, _) = parse_hosts_toml(
        f'[host."https://m"]\ndial_timeout = "{text}"', origin("r.io"), HERE
    )
    assert mirror.dial_timeout == seconds


def test_without_a_server_the_registry_itself_comes_last() -> None:
    endpoints = parse_hosts_toml('[host."https://m"]', origin("r.io"), HERE)
    assert [endpoint.base for endpoint in endpoints] == ["https://m/v2", "https://r.io/v2"]


def test_another_server_takes_the_registrys_place() -> None:
    (only,) = parse_hosts_toml('server = "https://m"', origin("r.io"), HERE)
    assert (only.base, only.mirror) == ("https://m/v2", True)
    (same,) = parse_hosts_toml('server = "http://r.io"', origin("r.io"), HERE)
    assert (same.base, same.mirror) == ("http://r.io/v2", False)


@pytest.mark.parametrize(
    "text",
    [
        "server = 5",
        "server = 'ftp://x'",
        "server = 'https://user@x'",
        "host = 5",
        "[host]\n'https://x' = 5",
        "[host.'https://x']\nca = 5",
        "[host.'https://x']\nskip_verify = 'yes'",
        "[host.'https://x']\nclient = [['a','b','c']]",
        "[host.'https://x'.header]\nx = ['a\\r\\nb']\n[host.'https://x'.header.y]",
        '[host."https://x".header]\nx = "a\\r\\nHost: b"',
        "[host.'https://x:99999']",
        "[",
    ],
)
def test_a_mistake_is_a_usage_error_that_names_the_file(text: str) -> None:
    with pytest.raises(UsageError, match=r"hosts\.toml"):
        parse_hosts_toml(text, origin("r.io"), HERE)


@given(st.text(max_size=200))
def test_any_text_is_endpoints_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_hosts_toml(text, origin("r.io"), HERE)


def test_directories_are_looked_up_in_containerds_order(tmp_path: Path) -> None:
    assert directory_names("r.io") == ("r.io", "_default")
    assert directory_names("r.io:5000") == ("r.io_5000_", "r.io:5000", "_default")
    hosts = HostsDirectory(directories=(tmp_path / "none", tmp_path))
    assert hosts.endpoints("r.io:5000") == (origin("r.io:5000"),)
    for i, name in enumerate(("_default", "r.io:5000", "r.io_5000_")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hosts.toml").write_text(f'[host."https://mirror{i}"]')
        assert hosts.endpoints("r.io:5000")[0].base == f"https://mirror{i}/v2"
    assert hosts.endpoints("other.io")[0].base == "https://mirror0/v2"


def test_settings_reach_a_worker_process(tmp_path: Path) -> None:
    settings = ClientSettings(
        hosts=HostsDirectory({"r.io": HostOptions(plain_http=True)}, (tmp_path,)),
        credentials=InOrder((DockerConfig(tmp_path / "config.json"), Anonymous())),
    )
    assert pickle.loads(pickle.dumps(settings)) == settings
