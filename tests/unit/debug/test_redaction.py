"""Secrets do not get into what is sent to others."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.debug.redaction import (
    cleaned,
    secrets_of_docker,
    secrets_of_environment,
    secrets_of_hosts,
)

AUTH = base64.b64encode(b"user:pass/w+rd").decode()


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer S3CRET.abc",
        '"authorization": "Basic S3CRET=="',
        "password=S3CRET other=1",
        '{"identity_token": "S3CRET", "a": 1}',
        "registry_password: S3CRET",
        "AWS_SECRET_ACCESS_KEY=S3CRET",
        "https://user:S3CRET@registry.example/v2",
        "GET https://blobs.example/a?X-Amz-Signature=S3CRET&b=c",
        "-----BEGIN RSA PRIVATE KEY-----\nS3CRET\n-----END RSA PRIVATE KEY-----",
        "token eyJhbGciOiJIUzI1NiJ9.S3CRET.x",
        "cookie: 'S3CRET'",
        'api-key="S3CRET with spaces"',
    ],
)
def test_what_looks_like_a_secret_is_removed(text: str) -> None:
    assert "S3CRET" not in cleaned(text)


def test_what_is_none_stays() -> None:
    text = 'bootseer_reads_total{area="layer"} 5\nlayer.provided image=a.example/b:c took=0.3\n'
    assert cleaned(text) == text


def test_known_secrets_are_found_wherever_they_are() -> None:
    config = {"auths": {"a": {"auth": AUTH}, "b": {"identitytoken": "identity-5"}}}
    known = set(secrets_of_docker(json.dumps(config).encode()))
    known |= set(secrets_of_hosts('[host."https://a".header]\nx-any = ["header-7", "header-8"]'))
    known |= set(secrets_of_environment([("MY_TOKEN", "environment-9"), ("PATH", "/bin")]))
    found = {AUTH, "pass/w+rd", "identity-5", "header-7", "header-8", "environment-9"}
    assert found <= known
    assert "/bin" not in known
    text = cleaned(" ".join(f"x{secret}y" for secret in found) + " /bin", known)
    assert not [secret for secret in found if secret in text]
    assert "/bin" in text


@given(st.binary(max_size=200), st.text(max_size=200))
def test_any_configuration_is_looked_through(data: bytes, text: str) -> None:
    list(secrets_of_docker(data))
    list(secrets_of_hosts(text))
    cleaned(text)
