"""How a volume's files are written and read. Records."""

from dataclasses import dataclass, field

from fuse_hdfs.files.rules import Layout, Rule, layout_of
from fuse_hdfs.files.writing import Striping


@dataclass(frozen=True, slots=True)
class Settings:
    """How a volume's files are written and read."""

    striping: Striping = field(default_factory=Striping)
    small: int = 4 << 20
    """Bytes up to which a file stays plain."""
    cache: int = 256 << 20
    """Bytes of files that are in memory, of all files together."""
    ahead: int = 64 << 20
    """Most bytes ahead of one sequential reader."""
    rules: tuple[Rule, ...] = ()
    """Other layouts, for some files."""
    again_s: float = 90.0
    """For so long what a lost machine took along is sent again, at least."""

    def layout(self, path: str) -> Layout:
        """Return how a file is laid out when it is written."""
        return layout_of(path, self.rules, Layout(self.striping, self.small))
