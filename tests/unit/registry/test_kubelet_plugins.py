"""The kubelet's credential provider plugins."""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError, UsageError
from snapshotter.registry.credentials import Credentials
from snapshotter.registry.logins.kubelet import KubeletPlugins
from snapshotter.registry.logins.kubelet_config import parse_answer, parse_provider_config
from snapshotter.registry.logins.matching import matches
from snapshotter.registry.logins.program import ProgramError, ask_program

CONFIG = """
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: plugin
    matchImages: ["*.example.com", "r.io/team"]
    defaultCacheDuration: "12h"
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    args: [get-credentials]
    env:
      - {name: NAME, value: robot}
"""


def plugins(
    tmp_path: Path, script: str, clock: list[float], config: str = CONFIG
) -> KubeletPlugins:
    """Return plugins of which one is a shell script; it notes each question in `asked`."""
    (tmp_path / "config.yaml").write_text(config)
    program = tmp_path / "plugin"
    program.write_text(f'#!/bin/sh\ncd "{tmp_path}"\ncat >> asked; echo >> asked\n{script}\n')
    program.chmod(0o755)
    return KubeletPlugins(tmp_path / "config.yaml", tmp_path, clock=lambda: clock[0])


def says(key: str, pattern: str, lasts: str = "10m") -> str:
    document = {
        "kind": "CredentialProviderResponse",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "cacheKeyType": key,
        "cacheDuration": lasts,
        "auth": {pattern: {"username": "USER", "password": "PASSWORD"}},
    }
    text = json.dumps(document).replace("USER", "'$NAME-$1'")
    return f"echo '{text}'".replace("PASSWORD", "'$(wc -l < asked)'")


async def offered(source: KubeletPlugins, host: str, repository: str = "a/b") -> list[Credentials]:
    """Return the first offer, as one has it who is let in."""
    async for offer in source.offers(host, repository):
        return [offer]
    return []


def asked(tmp_path: Path) -> list[str]:
    text = (tmp_path / "asked").read_text()
    return [json.loads(line)["image"] for line in text.splitlines() if line]


async def test_a_plugin_is_asked_in_the_kubelets_words(tmp_path: Path) -> None:
    source = plugins(tmp_path, says("Image", "x.example.com"), [0.0])
    (found,) = await offered(source, "x.example.com")
    assert found.username == "robot-get-credentials"
    (line,) = [line for line in (tmp_path / "asked").read_text().splitlines() if line]
    assert json.loads(line) == {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderRequest",
        "image": "x.example.com/a/b",
    }
    assert await offered(source, "other.com") == []
    assert await offered(source, "r.io", "teams/a") == []


@pytest.mark.parametrize(("key", "times"), [("Image", 3), ("Registry", 2), ("Global", 1)])
async def test_an_answer_is_used_again_for_what_it_is_good_for(
    tmp_path: Path, key: str, times: int
) -> None:
    source = plugins(tmp_path, says(key, "*.example.com"), [0.0])
    for host, repository in (("x", "a"), ("x", "a"), ("x", "b"), ("y", "a")):
        assert await offered(source, f"{host}.example.com", repository)
    assert len(asked(tmp_path)) == times


async def test_an_answer_is_used_as_long_as_it_lasts(tmp_path: Path) -> None:
    clock = [0.0]
    source = plugins(tmp_path, says("Global", "*.example.com", "10m"), clock)
    first = await offered(source, "x.example.com")
    clock[0] = 599.0
    assert await offered(source, "x.example.com") == first
    clock[0] = 601.0
    assert await offered(source, "x.example.com") != first


async def test_an_answer_that_is_refused_is_asked_for_anew(tmp_path: Path) -> None:
    source = plugins(tmp_path, says("Global", "*.example.com"), [0.0])
    (known,) = await offered(source, "x.example.com")
    every = [offer async for offer in source.offers("x.example.com", "a/b")]
    assert every[0] == known
    assert len(set(every)) == 2
    assert await offered(source, "x.example.com") == every[1:]


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", says("Some", "*.example.com")])
async def test_a_plugin_that_fails_is_passed_over(tmp_path: Path, script: str) -> None:
    source = plugins(tmp_path, script, [0.0])
    assert await offered(source, "x.example.com") == []


async def test_a_program_that_does_not_answer_is_ended_with_all_that_it_started(
    tmp_path: Path,
) -> None:
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\nsleep 600 & echo $! > {tmp_path}/child; wait\n")
    program.chmod(0o755)
    with pytest.raises(ProgramError, match="did not answer"):
        await ask_program((program,), b"x" * 1_000_000, most=10, seconds=3.0)
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/status")
    while child.exists() and "Z (zombie)" not in child.read_text():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("then", ["exit 0", "sleep 600"])
async def test_a_program_that_says_far_too_much_at_once_is_not_waited_for(
    tmp_path: Path, then: str
) -> None:
    """As much as asyncio stops reading at: then nothing more is heard of the pipe, even its end."""
    program = tmp_path / "loud"
    much = "import fcntl; fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20); print('x' * 1_000_000)"
    program.write_text(f'#!/bin/sh\n{sys.executable} -c "{much}"\n{then}\n')
    program.chmod(0o755)
    async with asyncio.timeout(60):
        with pytest.raises(ProgramError, match="said more than 10 bytes"):
            await ask_program((program,), b"", most=10)


async def test_a_program_whose_child_keeps_the_output_open_is_given_up(tmp_path: Path) -> None:
    """The child has left the group that is killed; it is somebody else's, and goes on."""
    program = tmp_path / "forking"
    program.write_text(f"#!/bin/sh\nsetsid sleep 600 & echo $! > {tmp_path}/child\n")
    program.chmod(0o755)
    async with asyncio.timeout(60):
        with pytest.raises(ProgramError, match="did not answer"):
            await ask_program((program,), b"", most=10, seconds=3.0)
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


async def test_a_plugin_that_needs_a_pods_token_is_not_asked(tmp_path: Path) -> None:
    config = CONFIG + "    tokenAttributes: {serviceAccountTokenAudience: x}\n"
    source = plugins(tmp_path, says("Global", "*.example.com"), [0.0], config)
    assert await offered(source, "x.example.com") == []
    assert not (tmp_path / "asked").exists()


async def test_answers_are_not_handed_to_workers(tmp_path: Path) -> None:
    source = plugins(tmp_path, says("Global", "*.example.com"), [0.0])
    (found,) = await offered(source, "x.example.com")
    pickled = pickle.dumps(source)
    assert found.username.encode() not in pickled
    assert await offered(pickle.loads(pickled), "x.example.com")


@pytest.mark.parametrize(
    ("entry", "host", "repository", "meant"),
    [
        ("*.io", "r.io", "a", True),
        ("*.io", "a.r.io", "a", False),
        ("*.*.io", "a.r.io", "a", True),
        ("r.io:5000", "r.io", "a", False),
        ("r.io:5000", "r.io:5000", "a", True),
        ("*.io:5000/a", "r.io:5000", "a/b", True),
        ("r.io/a", "r.io", "ab", False),
        ("r?.io", "r1.io", "a", True),
        ("[r].io", "r.io", "a", False),
        ("https://r.io/v2/a", "r.io", "a/b", True),
        ("index.docker.io", "docker.io", "library/alpine", True),
        ("docker.io/library", "docker.io", "library/alpine", True),
        ("", "r.io", "a", False),
    ],
)
def test_entries_mean_images_as_the_kubelet_has_it(
    entry: str, host: str, repository: str, meant: bool
) -> None:
    assert matches(entry, host, repository) is meant


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("name: plugin", "name: ../x"),
        ("name: plugin", "name: a/b"),
        ('"12h"', "12"),
        ('"12h"', "12 hours"),
        ("k8s.io/v1\n    args", "k8s.io/v9\n    args"),
        ('["*.example.com", "r.io/team"]', "everything"),
        ("kind: CredentialProviderConfig", "kind: Other"),
        ("providers:", "provider:"),
        ("{name: NAME, value: robot}", "NAME"),
    ],
)
def test_a_mistake_in_the_configuration_names_the_file(right: str, wrong: str) -> None:
    assert right in CONFIG
    with pytest.raises(UsageError, match=r"config\.yaml"):
        parse_provider_config(CONFIG.replace(right, wrong), "config.yaml")


_KEYS = ["kind", "apiVersion", "cacheKeyType", "cacheDuration", "auth", "username", "providers"]


@given(
    st.recursive(
        st.none() | st.text(max_size=9) | st.integers() | st.sampled_from(["Image", "5m"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner),
    )
)
def test_any_answer_or_configuration_is_understood_or_refused(document: object) -> None:
    (provider,) = parse_provider_config(CONFIG, "config.yaml")
    with contextlib.suppress(CorruptError):
        parse_answer(json.dumps(document).encode(), provider, 1000)
    with contextlib.suppress(UsageError):
        parse_provider_config(json.dumps(document), "config.yaml")
