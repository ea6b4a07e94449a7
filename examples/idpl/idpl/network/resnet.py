"""DeepLab on one of torchvision's ResNets, for those who have its weights and a GPU.

torchvision is asked for only here. Weights are a file of `torch.save`, as torchvision publishes
them; without a file the backbone starts from chance.
"""

import importlib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from idpl.errors import ConfigError
from idpl.network.output import Output
from idpl.network.small import Decoder, Pyramid


class ResNetNetwork(nn.Module):
    """Dilated ResNet, pyramid and decoder."""

    def __init__(self, backbone: nn.Module, classes: int, dropout: float) -> None:
        super().__init__()
        inside = _width_of(backbone.layer4)
        detail = _width_of(backbone.layer1)
        self.feature_width = 256
        self.backbone = backbone
        self.pyramid = Pyramid(inside, 256, (6, 12, 18))
        self.decoder = Decoder(256, detail, 256, classes, dropout)

    def forward(self, pictures: torch.Tensor) -> Output:
        """Map pictures [B, 3, H, W] to an `Output`."""
        body = self.backbone
        stem = body.maxpool(body.relu(body.bn1(body.conv1(pictures))))
        detail = body.layer1(stem)
        deep = body.layer4(body.layer3(body.layer2(detail)))
        size = (pictures.shape[2], pictures.shape[3])
        found: Output = self.decoder(self.pyramid(deep), detail, size)
        return found


def _width_of(layer: Any) -> int:
    convolutions = [part for part in layer.modules() if isinstance(part, nn.Conv2d)]
    return max(int(part.out_channels) for part in convolutions)


def resnet_network(kind: str, classes: int, weights: str, dropout: float) -> ResNetNetwork:
    """Return a network on torchvision's ResNet `kind`. Raises `ConfigError`."""
    try:
        models: Any = importlib.import_module("torchvision.models")
    except ImportError as error:
        raise ConfigError(
            f"network.kind {kind} needs torchvision, which is not installed",
            hint="install it (Debian: python3-torchvision), or use network.kind small",
        ) from error
    # Basic blocks, those of the 18 layers, cannot be dilated in torchvision.
    dilated = [False, True, True] if kind != "resnet18" else None
    backbone = getattr(models, kind)(replace_stride_with_dilation=dilated)
    if weights:
        _load(backbone, Path(weights))
    return ResNetNetwork(backbone, classes, dropout)


def _load(backbone: nn.Module, path: Path) -> None:
    try:
        backbone.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"network.weights {path}: {str(error).splitlines()[0]}",
            hint="a file of torchvision's for this network is needed",
        ) from error
