"""Manifests as writers make them, with what each unit must be."""

import secrets

from hypothesis import strategies as st

from fuse_hdfs import limits
from fuse_hdfs.striping.layout import Manifest, Segment, SegmentId, resized, spliced, units_of

UNIT = limits.UNIT_LEAST
MOST_UNITS = 40


def segment(units: int, stripes: int, last: int = UNIT) -> Segment:
    """Return a segment with checksums that mean nothing."""
    return Segment(
        SegmentId(secrets.token_hex(16)), stripes, units, last, secrets.token_bytes(4 * units)
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[Manifest, list[tuple[str, int] | None]]:
    """A manifest after some changes, and (segment, index) or None of each unit by a plain model."""
    manifest, model = Manifest(UNIT, 0), []
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            size = draw(st.integers(0, MOST_UNITS * UNIT))
            manifest = resized(manifest, size)
        else:
            numbers = sorted(draw(st.sets(st.integers(0, MOST_UNITS - 1), min_size=1)))
            least = numbers[-1] * UNIT + 1
            size = max(manifest.size, draw(st.integers(least, least + UNIT - 1)))
            new = segment(len(numbers), draw(st.integers(1, 9)), draw(st.integers(1, UNIT)))
            manifest = spliced(manifest, new, numbers, size)
            model += [None] * (max(numbers) + 1 - len(model))
            for index, number in enumerate(numbers):
                model[number] = (new.id, index)
        wanted = units_of(size, UNIT)
        model = model[:wanted] + [None] * (wanted - len(model))
    return manifest, model
