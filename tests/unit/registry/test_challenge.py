"""Challenges and tokens: parsed by the grammar, and never to an address that would leak."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.registry.challenge import Challenge, parse_challenges, token_service
from snapshotter.registry.credentials import Credentials
from snapshotter.registry.tokens import parse_token, token_request


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic", [("basic", {})]),
        ('Basic realm="a b"', [("basic", {"realm": "a b"})]),
        ('Bearer realm="r",service="s"', [("bearer", {"realm": "r", "service": "s"})]),
        ("Bearer realm=r , scope = x", [("bearer", {"realm": "r", "scope": "x"})]),
        ('Bearer Realm="a\\"b\\\\c"', [("bearer", {"realm": 'a"b\\c'})]),
        ('Bearer scope="a:b:pull,push"', [("bearer", {"scope": "a:b:pull,push"})]),
        (
            'Basic realm="x", Bearer realm="y"',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})],
        ),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Negotiate abc==, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("", []),
        (" , ,", []),
    ],
)
def test_the_grammar_is_followed(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges([header]) == tuple(Challenge(*one) for one in expected)


@given(st.text(max_size=200) | st.from_regex(r"[\w=\", \\]{0,60}"))
@example('Bearer a="' + "\\" * 101)
def test_any_header_is_challenges_or_corrupt(header: str) -> None:
    try:
        found = parse_challenges([header])
    except CorruptError:
        return
    assert all(one.scheme == one.scheme.lower() for one in found)


def test_a_long_header_without_an_end_is_refused_quickly() -> None:
    for header in ('Bearer a="' + "\\x" * 4000, "Bearer " + "a=b," * 2000, "a " * 4000):
        try:
            parse_challenges([header])
        except CorruptError:
            continue
    with pytest.raises(CorruptError):
        parse_challenges(["x" * 100_000])


def bearer(**parameters: str) -> Challenge:
    return Challenge("bearer", parameters)


def test_the_challenges_scope_is_preferred_and_every_part_kept() -> None:
    challenge = bearer(realm="https://t.io/token?x=1", service="s s", scope="a:b:pull c:d:push")
    service = token_service(challenge, "ours", plain_http=False)
    assert service.url == "https://t.io/token?x=1&service=s+s&scope=a%3Ab%3Apull&scope=c%3Ad%3Apush"
    bare = token_service(bearer(realm="https://t.io/token"), "ours", plain_http=False)
    assert bare.url == "https://t.io/token?scope=ours"


@pytest.mark.parametrize(
    "realm",
    [
        "",
        "t.io/token",
        "http://t.io/",
        "ftp://t.io/",
        "https:///x",
        "https://u:p@t.io/",
        "https://t.io:0/",
        "https://t.io:99999/",
        "https://[::1/",
    ],
)
def test_a_realm_that_is_not_safe_is_refused(realm: str) -> None:
    with pytest.raises(CorruptError):
        token_service(bearer(realm=realm), "s", plain_http=False)


def test_plain_http_is_accepted_where_the_registry_itself_is_plain() -> None:
    service = token_service(bearer(realm="http://t.io/token"), "s", plain_http=True)
    assert service.realm == "http://t.io/token"


def test_an_identity_token_travels_in_the_body() -> None:
    service = token_service(bearer(realm="https://t.io/token", service="s"), "x", plain_http=False)
    request = token_request(service, Credentials("", "", "refresh"))
    assert (request.method, str(request.url)) == ("POST", "https://t.io/token")
    assert ("refresh_token", "refresh") in request.form
    assert "refresh" not in repr(request)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"token": "t", "expires_in": 300}, ("t", 300)),
        ({"access_token": "t"}, ("t", 60)),
        ({"token": "t", "expires_in": 0}, ("t", 60)),
        ({"token": "t", "expires_in": 10**15}, ("t", 86400)),
    ],
)
def test_a_token_lasts_as_long_as_it_says_within_a_day(
    document: dict[str, object], expected: tuple[str, float]
) -> None:
    assert parse_token(json.dumps(document).encode(), 1000) == expected


@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(
        lambda text: json.dumps({"token": text, "expires_in": text}).encode()
    )
)
def test_any_answer_is_a_token_that_fits_a_header_or_corrupt(body: bytes) -> None:
    try:
        token, _ = parse_token(body, 1000)
    except CorruptError:
        return
    assert token.isascii()
    assert token.isprintable()
