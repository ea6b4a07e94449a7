"""Deciding whom to ask again, and when: without clock and network."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import BootseerError, CorruptError, NotFoundError, RemoteError
from snapshotter.registry.retry import (
    Attempts,
    HttpError,
    RetryPolicy,
    SilenceError,
    is_temporary,
    parse_retry_after,
    pause,
)

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
POLICY = RetryPolicy()


def temporary() -> RemoteError:
    return RemoteError("busy", temporary=True)


def test_a_registry_alone_is_asked_as_often_as_the_policy_says() -> None:
    attempts = Attempts(["registry"], POLICY)
    for _ in range(POLICY.attempts - 1):
        assert attempts.failed(temporary(), 0.5) > 0
    with pytest.raises(RemoteError):
        attempts.failed(temporary(), 0.5)


def test_a_mirror_that_fell_silent_is_not_waited_for_twice() -> None:
    attempts = Attempts(["mirror", "registry"], POLICY)
    assert attempts.failed(SilenceError("mirror is silent"), 0.5) == 0
    assert attempts.current == "registry"
    for _ in range(POLICY.attempts - 1):
        assert attempts.failed(SilenceError("so is the registry"), 0.5) > 0
    with pytest.raises(RemoteError):
        attempts.failed(SilenceError("so is the registry"), 0.5)


@pytest.mark.parametrize("error", [NotFoundError("no"), RemoteError("no"), CorruptError("no")])
def test_what_does_not_pass_moves_on_at_once(error: BootseerError) -> None:
    attempts = Attempts(["mirror", "registry"], POLICY)
    assert attempts.failed(error, 0.5) == 0
    assert attempts.current == "registry"


def test_a_mirror_that_has_not_got_it_proves_nothing() -> None:
    attempts = Attempts(["mirror", "registry"], POLICY)
    attempts.failed(NotFoundError("mirror lacks it"), 0.5)
    with pytest.raises(RemoteError, match="refused"):
        attempts.failed(RemoteError("refused"), 0.5)


def test_what_the_registry_has_not_got_nobody_has() -> None:
    attempts = Attempts(["registry", "mirror"], POLICY, authority="registry")
    with pytest.raises(NotFoundError):
        attempts.failed(NotFoundError("no"), 0.5)


def test_a_mirrors_word_is_not_final_if_the_registry_could_not_be_asked() -> None:
    attempts = Attempts(["registry", "mirror"], POLICY, authority="registry")
    attempts.failed(RemoteError("registry is down"), 0.5)
    with pytest.raises(RemoteError, match="registry is down"):
        attempts.failed(NotFoundError("mirror lacks it"), 0.5)


def test_the_final_error_tells_what_was_tried_before() -> None:
    attempts = Attempts(["mirror", "registry"], POLICY)
    attempts.failed(CorruptError("mirror lies"), 0.5)
    with pytest.raises(RemoteError) as caught:
        attempts.failed(RemoteError("refused"), 0.5)
    assert caught.value.__notes__ == ["tried before: mirror lies"]


def test_progress_forgives_earlier_failures() -> None:
    attempts = Attempts(["registry"], POLICY)
    for _ in range(100):
        attempts.failed(temporary(), 0.5)
        attempts.progressed()


def test_a_server_that_wants_too_much_patience_is_left() -> None:
    attempts = Attempts(["mirror", "registry"], POLICY)
    assert attempts.failed(HttpError("busy", status=429, retry_after=1e6), 0.5) == 0
    assert attempts.current == "registry"
    assert attempts.failed(HttpError("busy", status=429, retry_after=7), 0.5) == 7


ERRORS = st.sampled_from(
    [temporary(), RemoteError("no"), NotFoundError("no"), CorruptError("no")]
    + [HttpError("busy", status=429, retry_after=seconds) for seconds in (1.0, 1e6)]
)


@given(
    endpoints=st.integers(1, 4),
    authority=st.integers(0, 3),
    errors=st.lists(ERRORS, min_size=4 * POLICY.attempts, max_size=4 * POLICY.attempts),
)
def test_every_call_ends_and_asks_nobody_twice_after_leaving_it(
    endpoints: int, authority: int, errors: list[BootseerError]
) -> None:
    attempts = Attempts(list(range(endpoints)), POLICY, authority=authority % endpoints)
    asked: list[int] = []

    def ask() -> None:
        for error in errors:
            asked.append(attempts.current)
            attempts.failed(error, 0.5)

    with pytest.raises(BootseerError) as caught:
        ask()
    assert asked == sorted(asked)
    assert len(asked) <= POLICY.mirror_attempts * (endpoints - 1) + POLICY.attempts
    assert caught.value in errors[: len(asked)]


@given(
    failures=st.integers(1, 10_000),
    asked=st.none() | st.floats(0, 1e6),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_pauses_are_bounded_and_never_shorter_than_asked_for(
    failures: int, asked: float | None, chance: float
) -> None:
    seconds = pause(POLICY, failures, asked, chance)
    assert seconds >= POLICY.first_pause / 2
    assert seconds <= max(POLICY.longest_pause, asked or 0)
    assert asked is None or seconds >= asked


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("38\x1d", None),
        ("-1", None),
        ("soon", None),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0),
        ("Fri, 99 Jan 2026 03:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_seconds_or_nothing(value: str) -> None:
    found = parse_retry_after(value, NOW)
    assert found is None or found >= 0


def test_only_statuses_that_promise_something_are_temporary() -> None:
    assert [s for s in range(300, 600) if is_temporary(s)] == [408, 425, 429, 500, 502, 503, 504]
