"""From a layer's tree to its EROFS metadata image: plan, then emit."""

from snapshotter.erofs.emit import emit
from snapshotter.erofs.hot import HotLayout
from snapshotter.erofs.options import Options
from snapshotter.erofs.plan import plan
from snapshotter.layers.records import Tree


def build(
    tree: Tree, data_blocks: int, options: Options, hot: HotLayout | None = None
) -> memoryview:
    """Return the metadata image of a layer, a whole number of 4 KiB blocks.

    `tree` has passed `snapshotter.layers.validate`. `data_blocks` is the length of the data area in
    4 KiB blocks; the image names it as its first extra device (mount option `device=`), or none
    when it is 0. With `hot`, files read their hot blocks from a second extra device, the hot area;
    without blocks in it there is no such device. The same arguments always give the same bytes.
    Raises `CorruptError` where the tree cannot be expressed or hot blocks are not in the data area.
    """
    return emit(plan(tree, data_blocks, options, hot), tree, options)
