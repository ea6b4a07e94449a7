"""Which pictures a step sees.

A batch depends on seed and step alone, not on what was drawn before nor on how many processes share
the work: a run that resumes goes on as it would have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from idpl.data.augment import flipped, jittered, normalised
from idpl.data.pictures import Pictures

_SOURCE, _TARGET, _AUGMENT, _CHANCE = 1, 2, 3, 4  # streams of random numbers, apart for good


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the work is this process's: `rank` of `world`."""

    rank: int = 0
    world: int = 1

    def of(self, indexes: Sequence[int]) -> list[int]:
        """Return this process's part of a batch; the parts have equal sizes."""
        return list(indexes)[self.rank :: self.world]


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Pictures [B, 3, H, W] and their classes [B, H, W]."""

    pictures: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, slots=True)
class TargetBatch:
    """Target pictures, plain and as the student sees them. No labels: training has none.

    `flips` [B] says which of the changed pictures are mirrored.
    """

    indexes: tuple[int, ...]
    plain: torch.Tensor
    changed: torch.Tensor
    flips: torch.Tensor


def generator(seed: int, *stream: int) -> np.random.Generator:
    """Return the random numbers of one purpose."""
    return np.random.default_rng((seed, *stream))


def epoch_order(count: int, batch: int, seed: int, stream: int, step: int) -> list[int]:
    """Return the indexes of a step: every picture once an epoch, in an order of the epoch."""
    first = step * batch
    orders: dict[int, list[int]] = {}
    chosen = []
    for place in range(first, first + batch):
        epoch, within = divmod(place, count)
        if epoch not in orders:
            orders[epoch] = generator(seed, stream, epoch).permutation(count).tolist()
        chosen.append(orders[epoch][within])
    return chosen


def source_indexes(count: int, batch: int, seed: int, step: int) -> list[int]:
    """Return the source pictures of a step."""
    return epoch_order(count, batch, seed, _SOURCE, step)


def target_indexes(count: int, batch: int, seed: int, step: int) -> list[int]:
    """Return the target pictures of a step where all of them are alike."""
    return epoch_order(count, batch, seed, _TARGET, step)


def halves_indexes(easy: Sequence[bool], batch: int, seed: int, step: int) -> list[int]:
    """Return target pictures of a step of which half are easy and half difficult.

    Where one kind is missing, the other takes its place.
    """
    random = generator(seed, _CHANCE, step)
    kinds: tuple[list[int], list[int]] = (
        [index for index, is_easy in enumerate(easy) if is_easy],
        [index for index, is_easy in enumerate(easy) if not is_easy],
    )
    chosen = []
    for place in range(batch):
        kind = kinds[place % 2] or kinds[1 - place % 2]
        chosen.append(kind[int(random.integers(len(kind)))])
    # Both kinds in every process's part: those of a kind stand together.
    return chosen[0::2] + chosen[1::2]


def source_batch(pictures: Pictures, indexes: Sequence[int], seed: int, step: int) -> SourceBatch:
    """Read and change source pictures. May raise `DataError`."""
    images, labels = [], []
    for index in indexes:
        random = generator(seed, _AUGMENT, _SOURCE, step, index)
        sample = pictures[index]
        image, label = jittered(normalised(sample.picture), random, 0.8), sample.label
        if random.uniform() < 0.5:
            image, label = flipped(image), flipped(label)
        images.append(torch.from_numpy(np.asarray(image)))
        labels.append(torch.from_numpy(label.astype(np.int64)))
    return SourceBatch(torch.stack(images), torch.stack(labels))


def target_batch(pictures: Pictures, indexes: Sequence[int], seed: int, step: int) -> TargetBatch:
    """Read and change target pictures. May raise `DataError`."""
    plain, changed, flips = [], [], []
    for index in indexes:
        random = generator(seed, _AUGMENT, _TARGET, step, index)
        image = normalised(pictures[index].picture)
        other, flip = jittered(image, random, 0.8), bool(random.uniform() < 0.5)
        plain.append(torch.from_numpy(image))
        changed.append(torch.from_numpy(np.asarray(flipped(other) if flip else other)))
        flips.append(flip)
    return TargetBatch(
        tuple(indexes), torch.stack(plain), torch.stack(changed), torch.tensor(flips)
    )


def plain_batch(pictures: Pictures, indexes: Sequence[int]) -> SourceBatch:
    """Read pictures as they are, with their labels. May raise `DataError`."""
    samples = [pictures[index] for index in indexes]
    images = [torch.from_numpy(normalised(sample.picture)) for sample in samples]
    labels = [torch.from_numpy(sample.label.astype(np.int64)) for sample in samples]
    return SourceBatch(torch.stack(images), torch.stack(labels))
