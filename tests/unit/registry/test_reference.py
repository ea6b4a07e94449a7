"""References: what docker means by them, and that nothing else gets through."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bootseer.digests import check_digest, is_digest
from bootseer.errors import CorruptError, UsageError
from snapshotter.registry.reference import Reference, is_loopback, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("alpine", "docker.io", "library/alpine", "latest", None),
        ("alpine:3.20", "docker.io", "library/alpine", "3.20", None),
        ("me/tool", "docker.io", "me/tool", "latest", None),
        ("docker.io/alpine", "docker.io", "library/alpine", "latest", None),
        ("index.docker.io/me/tool:1", "docker.io", "me/tool", "1", None),
        ("localhost/a", "localhost", "a", "latest", None),
        ("localhost:5000/a/b:T", "localhost:5000", "a/b", "T", None),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest", None),
        ("ghcr.io/a/b/c", "ghcr.io", "a/b/c", "latest", None),
        ("Host/a", "Host", "a", "latest", None),
        (f"a@{DIGEST}", "docker.io", "library/a", None, DIGEST),
        (f"r.io:1/a:t@{DIGEST}", "r.io:1", "a", "t", DIGEST),
        ("r.io/a__b/c-d.e_f/g---h", "r.io", "a__b/c-d.e_f/g---h", "latest", None),
    ],
)
def test_short_names_are_completed_as_docker_does(
    text: str, host: str, path: str, tag: str | None, digest: str | None
) -> None:
    assert parse_reference(text) == Reference(host, path, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "@",
        "/a",
        "a/",
        "a//b",
        "A",
        "a:",
        "a:-x",
        f"a:{'t' * 129}",
        "a@sha256:abc",
        f"a@sha512:{'0' * 128}",
        f"a@{DIGEST}@{DIGEST}",
        f"a@{DIGEST.upper()}",
        "r.io/../etc",
        "r.io/a/..",
        "r.io:99999/a",
        "r.io:x/a",
        "-r.io/a",
        "..:1/a",
        "r..io/a",
        "https://r.io/a",
        "a b",
        "a\n",
        "a:t\n",
        "r.io/a\x00",
        "r.io/é",
        "r.io/" + "a" * 256,
        "0123456789abcdef" * 4,
        "a" * 5000,
    ],
)
def test_what_is_no_reference_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


@given(st.text() | st.from_regex(r"[\w./:@\[\]-]{0,80}"))
@example("[::1]/a")
def test_any_text_is_a_reference_or_a_usage_error_and_references_parse_back(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)) == reference
    assert ".." not in f"/{reference.host}/".split("/")
    assert all(part and part != ".." for part in reference.path.split("/"))
    assert re.fullmatch(r"[\x21-\x7e]+", str(reference))


@given(st.text() | st.from_regex(r"sha256:[0-9a-fA-F]{62,66}\n?"))
def test_only_sha256_and_64_hexadecimal_digits_are_a_digest(text: str) -> None:
    well_formed = re.fullmatch(r"sha256:[0-9a-f]{64}", text) is not None and text.isascii()
    assert is_digest(text) is well_formed
    if not well_formed:
        with pytest.raises(CorruptError):
            check_digest(text)


def test_pinning_keeps_the_repository_and_checks_the_digest() -> None:
    reference = parse_reference("r.io/a:t")
    assert str(reference.at(DIGEST)) == f"r.io/a:t@{DIGEST}"
    assert reference.at(DIGEST).target == DIGEST
    with pytest.raises(CorruptError):
        reference.at("sha256:../..")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:1", True),
        ("127.8.9.1", True),
        ("[::1]:5000", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("10.0.0.1:5000", False),
        ("docker.io", False),
    ],
)
def test_only_this_machines_addresses_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
