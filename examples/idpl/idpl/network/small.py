"""A small DeepLab-like network that trains on a processor: about 0.15 million parameters.

Dilated residual blocks at a quarter of the resolution, an atrous pyramid on top, and a decoder that
takes details from half resolution, without which poles are too thin to be seen. Group norm, as it
treats a picture alike in every batch and in every process.
"""

import torch
from torch import nn
from torch.nn import functional

from idpl.network.output import Output

_GROUPS = 8


class Norm(nn.GroupNorm):
    """Group norm in single precision, also where its input is in half: sums of squares overflow."""

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Map [B, C, h, w] to the same, in the precision it came in."""
        found: torch.Tensor = super().forward(seen.float()).to(seen.dtype)
        return found


def _conv(inside: int, outside: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, dilation, dilation, bias=False),
        Norm(_GROUPS, outside),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False),
            Norm(_GROUPS, width),
        )

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return functional.relu(seen + self.body(seen))


class Pyramid(nn.Module):
    """Looks at the features at several dilations, and at the whole picture."""

    def __init__(self, inside: int, outside: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.looks = nn.ModuleList(
            nn.Conv2d(inside, outside, 3, 1, dilation, dilation) for dilation in dilations
        )
        self.whole = nn.Conv2d(inside, outside, 1)
        self.norm = Norm(_GROUPS, outside)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Map [B, inside, h, w] to [B, outside, h, w]."""
        summed = self.whole(seen.mean(dim=(2, 3), keepdim=True))
        for look in self.looks:
            summed = summed + look(seen)
        return functional.relu(self.norm(summed))


class Decoder(nn.Module):
    """Joins coarse features with details, scores the classes."""

    def __init__(self, coarse: int, detail: int, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.detail = _conv(detail, _GROUPS * 2)
        self.join = _conv(coarse + _GROUPS * 2, width)
        self.dropout = nn.Dropout2d(dropout)
        self.scores = nn.Conv2d(width, classes, 1)

    def forward(self, coarse: torch.Tensor, detail: torch.Tensor, size: tuple[int, int]) -> Output:
        """Return scores at `size`, features at the details' resolution."""
        larger = _resized(coarse, (detail.shape[2], detail.shape[3]))
        features = self.join(torch.cat([larger, self.detail(detail)], dim=1))
        scores = self.scores(self.dropout(features))
        return Output(_resized(scores, size), features)


def _resized(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


class SmallNetwork(nn.Module):
    """See the module. `width` is that of the first layer; `feature_width` that of the features."""

    def __init__(self, classes: int, width: int, dropout: float) -> None:
        super().__init__()
        deep = width * 2
        self.feature_width = deep
        self.stem = nn.Sequential(_conv(3, width, stride=2), _conv(width, width))
        self.down = _conv(width, deep, stride=2)
        self.blocks = nn.Sequential(*(_Residual(deep, dilation) for dilation in (1, 2, 4)))
        self.pyramid = Pyramid(deep, deep, (2, 6))
        self.decoder = Decoder(deep, width, deep, classes, dropout)

    def forward(self, pictures: torch.Tensor) -> Output:
        """Map pictures [B, 3, H, W] to an `Output`."""
        detail = self.stem(pictures)
        coarse = self.pyramid(self.blocks(self.down(detail)))
        found: Output = self.decoder(coarse, detail, (pictures.shape[2], pictures.shape[3]))
        return found
