"""Limits of striped files: what a manifest may say, and what a writer may ask for.

A manifest is bytes that anybody who may write to the directory may have written. A reader checks
it against these before it allocates anything of a size that the manifest names.
"""

from typing import Final

UNIT_LEAST: Final = 4 << 10
UNIT_MOST: Final = 64 << 20
"""Bytes of a stripe unit, a power of two between these."""

STRIPES: Final = 256
"""Files that one segment may be striped over."""

SEGMENTS: Final = 4_096
"""Segments of one file. A writer begins anew with one segment long before."""

EXTENTS: Final = 65_536
"""Extents of one file."""

UNITS: Final = 1 << 22
"""Units of all segments of one file: 4 TiB in units of 1 MiB. Each has four bytes of checksum."""

SIZE: Final = 1 << 62
"""Bytes of a file, holes included."""

MANIFEST: Final = 32 << 20
"""Bytes of a manifest."""

ARCHIVE_TAIL: Final = 1 << 20
"""Bytes at the end of a file in which a list of its records is looked for: some 12,000."""
