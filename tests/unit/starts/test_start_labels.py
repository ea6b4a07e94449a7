"""Labels of a container's snapshot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT
from snapshotter.starts.labels import RECORD, WORKLOAD, record_policy_of, workload_of


def test_a_container_without_labels_is_the_images_default_and_as_configured() -> None:
    assert workload_of({}) == ""
    assert record_policy_of({}, "never") == "never"


def test_labels_name_the_workload_and_overrule_the_configuration() -> None:
    labels = {WORKLOAD: "train large", RECORD: "always"}
    assert workload_of(labels) == "train large"
    assert record_policy_of(labels, "never") == "always"


@pytest.mark.parametrize("name", ["a\nb", "\x00", "x" * (DEFAULT.hot_text + 1), "\udcff"])
def test_what_no_record_could_be_named_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=WORKLOAD):
        workload_of({WORKLOAD: name})


def test_a_policy_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="sometimes"):
        record_policy_of({RECORD: "sometimes"}, "auto")


@given(st.dictionaries(st.sampled_from([WORKLOAD, RECORD]), st.text()))
def test_labels_are_understood_or_refused(labels: dict[str, str]) -> None:
    try:
        assert workload_of(labels).isprintable()
        assert record_policy_of(labels, "auto") in ("auto", "always", "never")
    except UsageError:
        pass
