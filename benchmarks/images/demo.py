"""The demo's image: Debian, Python with numpy, PyTorch, one training step. Over 1 GB unpacked.

`python -m benchmarks.images.demo` builds it.
"""

import sys
from typing import Final

from benchmarks.images.recipe import BuiltImage, Recipe, Say, build_and_say, built_image
from tooling.places import REPOSITORY

DemoImage = BuiltImage

RECIPE: Final = Recipe(
    name="demo",
    packages=(
        ("python3 and numpy", ("python3", "python3-numpy", "ca-certificates")),
        ("PyTorch", ("python3-torch",)),
    ),
    files={"opt/train/train.py": REPOSITORY / "examples" / "demo-image" / "train.py"},
    command=("python3", "/opt/train/train.py"),
)


def demo_image(say: Say = lambda _line: None) -> BuiltImage:
    """Return the demo image, built first where this machine does not have it yet (minutes).

    Safe when two ask at once: the second waits. Raises `HostError` where it cannot be built.
    """
    return built_image(RECIPE, say)


if __name__ == "__main__":
    sys.exit(build_and_say(RECIPE))
