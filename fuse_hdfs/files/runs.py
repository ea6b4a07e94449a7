"""Whether a file's stripes are its bytes, whole and one behind the other. Pure."""

from dataclasses import dataclass

from fuse_hdfs.files.names import stripe_path
from fuse_hdfs.striping.layout import Manifest, Segment, place_of


@dataclass(frozen=True, slots=True)
class Stripe:
    """A whole stripe: a file of the store."""

    path: str
    length: int


def runs(manifest: Manifest) -> list[Stripe] | str:
    """Return the stripes that make up a file one behind the other, or why there are no such."""
    segments = {segment.id: segment for segment in manifest.segments}
    found: list[Stripe] = []
    size = 0
    for extent in manifest.extents:
        if extent.segment is None:
            return "it has a hole"
        segment = segments[extent.segment]
        if extent.skip or extent.units != segment.units or size % manifest.unit:
            return "parts of it were written over"
        if segment.stripes > 1 and segment.units > segment.stripes:
            return (
                f"its {segment.units} units take turns on {segment.stripes} stripes; no more units "
                "than stripes would do, or one stripe"
            )
        found += _stripes(segment, manifest.unit)
        size += sum(segment.length(index, manifest.unit) for index in range(segment.units))
    if size != manifest.size or not found:
        return "it was cut or grown"
    return found


def _stripes(segment: Segment, unit: int) -> list[Stripe]:
    lengths: dict[int, int] = {}
    for index in range(segment.units):
        place = place_of(segment, index, unit)
        lengths[place.stripe] = place.offset + place.length
    return [Stripe(stripe_path(segment.id, number), lengths[number]) for number in sorted(lengths)]
