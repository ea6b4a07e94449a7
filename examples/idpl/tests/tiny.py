"""Runs so small that a test can have several."""

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idpl.accuracy import Accuracy
from idpl.config import Config, config_from
from idpl.together import Together
from idpl.training.loop import Surroundings, train
from idpl.training.progress import ProgressLine
from idpl.training.sets import Sets, open_sets
from idpl.training.stages import plain_stage

DOCUMENT: dict[str, Any] = {
    "height": 32,
    "width": 64,
    "source": {"count": 6},
    "target": {"domain": "city", "count": 6, "seed": 1},
    "evaluation": {"domain": "city", "count": 3, "seed": 2},
    "network": {"width": 8},
    "training": {
        "steps": 6,
        "warmup": 2,
        "batch": 4,
        "checkpoint_every": 2,
        "log_every": 1,
        "keep": 9,
    },
    "method": {"rescore_every": 2, "heads": 2},
}


def tiny_config(method: str = "idpl", **changes: Any) -> Config:
    """Return the configuration with keys of `method` changed."""
    return config_from(DOCUMENT | {"method": {**DOCUMENT["method"], "name": method, **changes}})


@dataclass(frozen=True)
class Tiny:
    """Sets that all tiny configurations share."""

    config: Config
    sets: Sets


def tiny_sets() -> Tiny:
    """Render them."""
    config = tiny_config()
    return Tiny(config, open_sets(config, lambda _what, _done, _count: None))


def run(config: Config, sets: Sets, out: Path, start: Path | None = None) -> tuple[Accuracy, str]:
    """Train, and return what was said as well."""
    said = io.StringIO()
    around = Surroundings(Together(), ProgressLine(said), plain_stage, start)
    return train(config, sets, out, around), said.getvalue()


def steps(config: Config, count: int) -> Config:
    """Return a configuration whose run stops earlier but is the same until then."""
    return dataclasses.replace(config, training=dataclasses.replace(config.training, steps=count))
