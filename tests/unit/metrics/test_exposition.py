"""Metrics as text: whatever they hold, a reader of the format finds it again."""

import math

import pytest
from exposition_reader import read
from hypothesis import given
from hypothesis import strategies as st

from bootseer.metrics.exposition import Family, Kind, Sample, render

names = st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True)
values = st.floats() | st.integers(0, 2**53)
samples = st.dictionaries(names, st.text(), max_size=3).flatmap(
    lambda labels: st.builds(Sample, values, st.just(labels))
)


@st.composite
def families(draw: st.DrawFn) -> list[Family]:
    made = []
    for name in draw(st.sets(names, max_size=4)):
        kind = draw(st.sampled_from(Kind))
        full = f"{name}_total" if kind is Kind.COUNTER else f"{name}_now"
        distinct = draw(
            st.lists(samples, max_size=4, unique_by=lambda one: tuple(sorted(one.labels.items())))
        )
        made.append(Family(full, kind, draw(st.text()), distinct))
    return made


@given(families())
def test_what_was_rendered_is_read_again(drawn: list[Family]) -> None:
    found = read(render(drawn))
    assert list(found) == [family.name for family in drawn]
    for family in drawn:
        metric = found[family.name]
        assert (metric.kind, metric.help) == (family.kind, family.help)
        assert len(metric.samples) == len(family.samples)
        for sample in family.samples:
            value = metric.value(**sample.labels)
            assert value == sample.value or (math.isnan(value) and math.isnan(sample.value))


def test_large_counts_are_whole_numbers() -> None:
    text = render([Family("bytes_total", Kind.COUNTER, "Bytes.", [Sample(12345678901234)])])
    assert text.splitlines()[-1] == "bytes_total 12345678901234"


@pytest.mark.parametrize(
    "arguments",
    [
        ("a-b", Kind.GAUGE, "", []),
        ("", Kind.GAUGE, "", []),
        ("a", Kind.GAUGE, "", [Sample(1, {"b c": ""})]),
        ("a", Kind.COUNTER, "", []),
        ("a_total", Kind.GAUGE, "", []),
    ],
)
def test_names_that_the_format_or_its_customs_do_not_have_are_refused(arguments) -> None:
    with pytest.raises(ValueError, match=r"not a metric|must not be"):
        Family(*arguments)
