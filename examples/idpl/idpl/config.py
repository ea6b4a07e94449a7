"""The configuration of a run: frozen records, read from YAML and checked once."""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from idpl.errors import ConfigError

MethodName = Literal[
    "source-only", "fixed-threshold", "class-balanced", "entropy-adversarial", "easy-hard", "idpl"
]


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where pictures come from: `scenes` are rendered here, the others are folders."""

    kind: Literal["scenes", "gta5", "synthia", "cityscapes"] = "scenes"
    domain: Literal["game", "city"] = "game"
    """Of rendered scenes."""
    count: int = 240
    """How many scenes are rendered; of a folder, the first so many (0: all)."""
    seed: int = 0
    folder: str = ""
    split: str = "train"
    """Of Cityscapes: train, val."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The segmentation network. `weights` is a file of torchvision's for `resnet` kinds."""

    kind: Literal["small", "resnet18", "resnet50", "resnet101"] = "small"
    width: int = 24
    weights: str = ""
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How long, how fast. `warmup` is how many of the steps see the source only."""

    steps: int = 1200
    warmup: int = 800
    batch: int = 4
    learning_rate: float = 0.004
    method_learning_rate: float = 0.002
    momentum: float = 0.9
    """AdamW's first beta."""
    weight_decay: float = 0.01
    power: float = 0.9
    rare_power: float = 0.25
    """How much rare classes count in the source's loss: a class's frequency to minus this."""
    clip: float = 5.0
    """Longest gradient (Euclidean norm)."""
    ema: float = 0.98
    """How much of itself the teacher keeps in a step."""
    device: Literal["cpu", "cuda"] = "cpu"
    checkpoint_every: int = 200
    keep: int = 2
    log_every: int = 20


@dataclass(frozen=True, slots=True)
class ThresholdConfig:
    """Of the dynamic thresholds; see `idpl.thresholds`."""

    portion: float = 0.6
    """The part of a class's pixels that would be kept if it were as sure as can be."""
    hardness: float = 2.0
    """How much less of an unsure class is kept: its portion is times threshold ** hardness."""
    memory: float = 0.9
    """How much of the global threshold is kept when an image is seen."""
    floor: float = 0.3
    ceiling: float = 0.95
    local: bool = True
    """Whether an image's own classes have a say."""


@dataclass(frozen=True, slots=True)
class MethodConfig:
    """Which method adapts, and its numbers. The switches take IDPL apart."""

    name: MethodName = "idpl"
    threshold: float = 0.9
    """Of `fixed-threshold`."""
    self_training: float = 1.0
    """Weight of the loss on pseudo labels."""
    adversarial: float = 0.01
    """Weight of the loss of discriminators."""
    rescore_every: int = 50
    """After so many steps every target picture is looked at again."""
    easy_part: float = 0.5
    """The part of the target that counts as easy."""
    heads: int = 4
    thresholds: ThresholdConfig = field(default_factory=ThresholdConfig)
    dynamic: bool = True
    """False: one fixed threshold in place of the dynamic ones."""
    split: bool = True
    """False: pictures are called easy or difficult by chance."""
    alignment: bool = True
    """False: no adversarial part at all."""
    attention: bool = True
    entropy_weights: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """One run."""

    source: DataConfig = field(default_factory=DataConfig)
    target: DataConfig = field(default_factory=lambda: DataConfig(domain="city", seed=1))
    evaluation: DataConfig = field(
        default_factory=lambda: DataConfig(domain="city", seed=2, count=100, split="val")
    )
    classes: Literal["street", "cityscapes"] = "street"
    height: int = 64
    width: int = 128
    seed: int = 1
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    method: MethodConfig = field(default_factory=MethodConfig)


def read_config(path: Path, changes: tuple[str, ...] = ()) -> Config:
    """Return the configuration of a YAML file; `changes` are `a.b=value` and win over it.

    Raises `ConfigError` that names the key.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: cannot be read: {reason}", hint="see configs/") from error
    document = {} if document is None else document
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected keys with values", hint="see configs/")
    for change in changes:
        _set(document, change)
    return config_from(document, str(path))


def config_from(document: Mapping[str, Any], where: str = "configuration") -> Config:
    """Return the configuration that a mapping says. Raises `ConfigError`."""
    config: Config = _record(Config, document, where)
    _check(config, where)
    return config


def as_document(config: Config) -> dict[str, Any]:
    """Return what `config_from` takes."""
    return dataclasses.asdict(config)


def fingerprint(config: Config) -> str:
    """Return a short name for exactly this configuration."""
    text = json.dumps(as_document(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return where two documents differ: `key: one's value, not other's`."""
    found: list[str] = []
    for key in sorted({*one, *other}):
        left, right = one.get(key), other.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differences(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(f"{prefix}{key}: {left!r}, not {right!r}")
    return found


def _set(document: dict[str, Any], change: str) -> None:
    keys, equals, value = change.partition("=")
    if not equals:
        raise ConfigError(f"--set {change}: expected KEY=VALUE", hint="as in training.steps=50")
    *parents, last = keys.split(".")
    inner = document
    for parent in parents:
        inner = inner.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {change}: {parent} has no keys of its own")
    inner[last] = yaml.safe_load(value)


def _record(kind: type[Any], document: Any, where: str) -> Any:
    if not isinstance(document, Mapping):
        raise ConfigError(f"{where}: expected keys with values, found {document!r}")
    hints = typing.get_type_hints(kind)
    if unknown := sorted(str(key) for key in document if key not in hints):
        known = ", ".join(hints)
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}", hint=f"there are: {known}")
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in document.items()}
    return kind(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, where)
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ConfigError(f"{where}: {value!r} is none of {', '.join(choices)}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, types.GenericAlias) or type(value) is not kind:
        raise ConfigError(f"{where}: expected {kind.__name__}, found {value!r}")
    return value


def _check(config: Config, where: str) -> None:
    training, method, thresholds = config.training, config.method, config.method.thresholds
    rules = {
        "height, width: both must be multiples of 8, 16 to 4096": _sizes(config),
        "training.steps: at least 1": training.steps >= 1,
        "training.warmup: 0 to training.steps": 0 <= training.warmup <= training.steps,
        "training.batch: at least 2 (an easy and a difficult picture)": training.batch >= 2,
        "training.checkpoint_every, keep, log_every: at least 1": min(
            training.checkpoint_every, training.keep, training.log_every
        )
        >= 1,
        "training.ema: 0 to below 1": 0 <= training.ema < 1,
        "method.rescore_every: at least 1": method.rescore_every >= 1,
        "method.easy_part: above 0, below 1": 0 < method.easy_part < 1,
        "method.thresholds.floor, ceiling: 0 < floor < ceiling < 1": 0
        < thresholds.floor
        < thresholds.ceiling
        < 1,
        "method.thresholds.portion: above 0, at most 1": 0 < thresholds.portion <= 1,
        "method.thresholds.memory: 0 to below 1": 0 <= thresholds.memory < 1,
        "network.width: a multiple of 8": config.network.width % 8 == 0 < config.network.width,
        "classes: rendered scenes have the street classes": all(
            (data.kind == "scenes") == (config.classes == "street")
            for data in (config.source, config.target, config.evaluation)
        ),
        "folder: every kind but scenes needs one": all(
            data.kind == "scenes" or data.folder
            for data in (config.source, config.target, config.evaluation)
        ),
        "count: at least 1 scene; of a folder 0 (all) or more": all(
            data.count >= (data.kind == "scenes")
            for data in (config.source, config.target, config.evaluation)
        ),
    }
    for rule, holds in rules.items():
        if not holds:
            raise ConfigError(f"{where}: {rule}")


def _sizes(config: Config) -> bool:
    return all(side % 8 == 0 and 16 <= side <= 4096 for side in (config.height, config.width))
