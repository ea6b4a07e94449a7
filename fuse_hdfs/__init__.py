"""A checkpoint mount whose files are striped over many HDFS files; `open` is for use without it."""

from fuse_hdfs.api import open  # noqa: A004

__all__ = ["open"]
