"""The credentials that pulls came with: for their repository, in memory, beyond a server."""

import os
import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.registry.credentials import Credentials
from snapshotter.registry.logins.remembered import Keepsake, RememberedPulls
from snapshotter.service.image_proxy import seen
from snapshotter.service.protos.images_pb2 import AuthConfig, ImageSpec, PullImageRequest


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("tests")
    yield descriptor
    os.close(descriptor)


def login(number: int) -> Credentials:
    return Credentials(f"user{number}", f"s3cret{number}")


async def known(pulls: RememberedPulls, host: str, repository: str) -> list[Credentials]:
    return [one async for one in pulls.offers(host, repository)]


async def test_credentials_are_good_for_their_repository_and_for_no_other() -> None:
    pulls = RememberedPulls()
    assert pulls.remember("r.io", "team/a", login(1))
    assert await known(pulls, "r.io", "team/a") == [login(1)]
    for host, repository in (("r.io", "team/b"), ("r.io", "team"), ("o.io", "team/a")):
        assert await known(pulls, host, repository) == []


async def test_the_newest_come_first_and_there_are_few(memory: int) -> None:
    pulls = RememberedPulls()
    for number in range(6):
        pulls.remember("r.io", "a", login(number))
    assert not pulls.remember("r.io", "a", login(3)), "known, and the newest now"
    assert await known(pulls, "r.io", "a") == [login(3), login(5), login(4), login(2)]
    pulls.forget("r.io", "a", login(5))
    pulls.forget("r.io", "b", login(5))
    assert await known(pulls, "r.io", "a") == [login(3), login(4), login(2)]


async def test_the_next_server_and_its_workers_know_them(memory: int) -> None:
    pulls = RememberedPulls(Keepsake(memory))
    for number in range(3):
        pulls.remember("r.io", "a", login(number))
    pulls.remember("r.io", "b", Credentials("", "", "identity", "registry"))
    for other in (RememberedPulls(Keepsake(memory)), pickle.loads(pickle.dumps(pulls))):
        assert await known(other, "r.io", "a") == [login(2), login(1), login(0)]
        assert await known(other, "r.io", "b") == [Credentials("", "", "identity", "registry")]


async def test_what_was_written_by_half_is_forgotten(memory: int) -> None:
    pulls = RememberedPulls(Keepsake(memory))
    pulls.remember("r.io", "a", login(1))
    os.ftruncate(memory, 40)
    assert await known(RememberedPulls(Keepsake(memory)), "r.io", "a") == []


async def test_what_is_far_too_long_is_not_kept() -> None:
    pulls = RememberedPulls()
    assert not pulls.remember("r.io", "a", Credentials("u", "x" * 100_000))
    assert await known(pulls, "r.io", "a") == []


@pytest.mark.parametrize(
    ("image", "auth", "expected"),
    [
        ("r.io/a:1", {"username": "u", "password": "p"}, ("r.io", "a", Credentials("u", "p"))),
        ("r.io/a@sha256:" + "0" * 64, {"auth": "dTpw"}, ("r.io", "a", Credentials("u", "p"))),
        (
            "alpine",
            {"identity_token": "t", "server_address": "https://index.docker.io/v1/"},
            ("docker.io", "library/alpine", Credentials("", "", "t")),
        ),
        ("r.io/a", {"registry_token": "t"}, ("r.io", "a", Credentials("", "", "", "t"))),
        ("r.io/a", {}, None),
        ("r.io/a", {"username": "u", "server_address": "other.io"}, None),
        ("r.io/a", {"auth": "?"}, None),
        ("0" * 64, {"username": "u"}, None),
    ],
)
def test_a_pull_tells_its_credentials_for_its_own_registry(
    image: str, auth: dict[str, str], expected: tuple[str, str, Credentials] | None
) -> None:
    request = PullImageRequest(image=ImageSpec(image=image), auth=AuthConfig(**auth))
    pull = seen(request.SerializeToString())
    assert (pull and (pull.reference.host, pull.reference.path, pull.credentials)) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_a_pull_or_nothing(data: bytes) -> None:
    seen(data)
