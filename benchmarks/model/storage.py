"""HDFS: plain files, a block on one DataNode after the other, or striped over many. Simulated."""

import random
from typing import Final

import simpy

from benchmarks.model.fluid import Fluid
from benchmarks.model.parameters import Checkpoint, Hdfs
from benchmarks.model.supply import Process

SUM: Final = "hdfs: all DataNodes"
NAMES: Final = "hdfs: NameNode"
_MOST_PIECES: Final = 16
"""A plain file is read in no more pieces than this, however many blocks it has: a piece then
stands for several blocks in a row, which evens out less than they would."""


class Storage:
    """The DataNodes. Where the blocks of plain files lie is chance, by `seed`."""

    def __init__(self, fluid: Fluid, hdfs: Hdfs, chance: random.Random) -> None:
        self._fluid = fluid
        self._hdfs = hdfs
        self._chance = chance
        self._places = [f"hdfs: DataNode {number}" for number in range(int(hdfs.data_nodes))]
        for place in self._places:
            fluid.set_capacity(place, hdfs.rate * hdfs.data_share)
        fluid.set_capacity(SUM, hdfs.data_nodes * hdfs.rate * hdfs.data_share)
        fluid.set_capacity(NAMES, hdfs.name_node)

    def read_plain(self, checkpoint: Checkpoint, rate: float) -> Process:
        """Read a plain file in one stream."""
        yield self._ask(checkpoint)
        most = min(rate, self._hdfs.rate * self._hdfs.stream)
        blocks = max(-(-checkpoint.bytes // checkpoint.block), 1)
        pieces = int(min(blocks, _MOST_PIECES))
        for _ in range(pieces):
            place = self._chance.choice(self._places)
            yield self._fluid.transfer(checkpoint.bytes / pieces, ((place, 1.0),), most)

    def read_striped(self, checkpoint: Checkpoint, rate: float) -> Process:
        """Read a striped file: all of its DataNodes at once, which are others for each file."""
        yield self._ask(checkpoint)
        yield self.read_bytes(checkpoint.bytes, rate)

    def read_bytes(self, size: float, rate: float) -> simpy.Event:
        """Read from many DataNodes at once."""
        stripes = min(self._hdfs.stripes, self._hdfs.data_nodes)
        most = min(rate, stripes * self._hdfs.rate * self._hdfs.striped)
        return self._fluid.transfer(size, ((SUM, 1.0),), most)

    def _ask(self, checkpoint: Checkpoint) -> simpy.Event:
        return self._fluid.transfer(checkpoint.calls, ((NAMES, 1.0),))
