"""The method a configuration asks for."""

from idpl.align.subdomain import SubdomainAlignment
from idpl.config import Config
from idpl.methods.easy_hard import EasyHard
from idpl.methods.entropy_adversarial import EntropyAdversarial
from idpl.methods.idpl import Idpl
from idpl.methods.labellers import ClassBalanced, Dynamic, Labeller
from idpl.methods.method import Method
from idpl.methods.self_training import SelfTraining
from idpl.methods.source_only import SourceOnly


def build_method(config: Config, classes: int, width: int, count: int) -> Method:
    """Return the method; `width` is that of the features, `count` the target's pictures."""
    wanted, batch, seed = config.method, config.training.batch, config.seed
    adapting = config.training.steps - config.training.warmup
    every = wanted.rescore_every
    match wanted.name:
        case "source-only":
            return SourceOnly(count=count, batch=batch, seed=seed)
        case "fixed-threshold" | "class-balanced":
            fixed = Labeller(classes, wanted.threshold)
            labeller = fixed if wanted.name == "fixed-threshold" else ClassBalanced(classes)
            return SelfTraining(
                labeller,
                wanted.self_training,
                count=count,
                batch=batch,
                seed=seed,
                rescore_every=every if wanted.name == "class-balanced" else 0,
            )
        case "entropy-adversarial":
            return EntropyAdversarial(
                classes, wanted.adversarial, count=count, batch=batch, seed=seed
            )
        case "easy-hard":
            return EasyHard(
                classes,
                wanted.adversarial,
                wanted.self_training,
                wanted.easy_part,
                adapting // 2,
                count=count,
                batch=batch,
                seed=seed,
            )
        case "idpl":
            return _idpl(config, classes, width, count)


def _idpl(config: Config, classes: int, width: int, count: int) -> Idpl:
    wanted = config.method
    judge = Dynamic(classes, wanted.thresholds)
    alignment = SubdomainAlignment(
        classes,
        width,
        wanted.heads,
        attention=wanted.attention,
        entropy_weights=wanted.entropy_weights,
    )
    return Idpl(
        judge if wanted.dynamic else Labeller(classes, wanted.threshold),
        judge,
        alignment if wanted.alignment else None,
        wanted.self_training,
        wanted.adversarial,
        wanted.easy_part,
        by_chance=not wanted.split,
        count=count,
        batch=config.training.batch,
        seed=config.seed,
        rescore_every=wanted.rescore_every,
    )
