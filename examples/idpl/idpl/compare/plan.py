"""What is compared: a run for each method and seed, and the changes of configuration it is."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from idpl.config import Config, as_document, config_from, fingerprint
from idpl.errors import ConfigError

VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "source-only": {"name": "source-only"},
    "fixed-threshold": {"name": "fixed-threshold"},
    "class-balanced": {"name": "class-balanced"},
    "entropy-adversarial": {"name": "entropy-adversarial"},
    "easy-hard": {"name": "easy-hard"},
    "idpl": {"name": "idpl"},
    "idpl, fixed threshold": {"name": "idpl", "dynamic": False},
    "idpl, global threshold only": {"name": "idpl", "thresholds": {"local": False}},
    "idpl, split by chance": {"name": "idpl", "split": False},
    "idpl, no alignment": {"name": "idpl", "alignment": False},
    "idpl, no attention": {"name": "idpl", "attention": False},
    "idpl, no entropy weights": {"name": "idpl", "entropy_weights": False},
}
"""Name in the table, and what it changes below `method`. Those after `idpl` are it less a part."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the comparison, in `out`; it goes on from the warm-up of its seed."""

    variant: str
    config: Config
    out: Path
    warm_up: Path


def quick(config: Config) -> Config:
    """Return a configuration that is done in minutes, to try things; its figures say little."""
    training = dataclasses.replace(config.training, steps=450, warmup=300)
    return dataclasses.replace(
        config,
        source=dataclasses.replace(config.source, count=120),
        target=dataclasses.replace(config.target, count=120),
        evaluation=dataclasses.replace(config.evaluation, count=40),
        training=training,
    )


def plan(config: Config, out: Path, seeds: Sequence[int], names: Sequence[str]) -> list[Cell]:
    """Return the runs, seed by seed. Raises `ConfigError` for a name that is none."""
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise ConfigError(
            f"no method {unknown[0]!r} to compare", hint=f"there are: {'; '.join(VARIANTS)}"
        )
    # A change of configuration is another comparison: nothing of an earlier one is mixed in.
    place = out / fingerprint(config)
    cells = []
    for seed in seeds:
        for name in names:
            document = as_document(dataclasses.replace(config, seed=seed))
            document["method"] = _merged(document["method"], VARIANTS[name])
            run = place / f"seed-{seed}" / name.replace(", ", "-").replace(" ", "-")
            cells.append(Cell(name, config_from(document), run, place / f"seed-{seed}/warm-up"))
    return cells


def _merged(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(document)
    for key, value in changes.items():
        merged[key] = _merged(merged[key], value) if isinstance(value, Mapping) else value
    return merged
