"""The network a configuration asks for."""

from torch import nn

from idpl.config import NetworkConfig
from idpl.network.resnet import resnet_network
from idpl.network.small import SmallNetwork


def build_network(config: NetworkConfig, classes: int) -> nn.Module:
    """Return the network, its weights drawn from torch's generator. Raises `ConfigError`.

    It has `feature_width`, the channels of its features.
    """
    if config.kind == "small":
        return SmallNetwork(classes, config.width, config.dropout)
    return resnet_network(config.kind, classes, config.weights, config.dropout)
