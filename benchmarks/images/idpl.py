"""The image of examples/idpl: Debian 13 with its PyTorch, and the training job.

`examples/idpl/build-image` builds it. Debian's own packages are enough to train; what
`requirements.txt` names beside them is installed when a container starts, as it is in many a
training job, so that `bootseer deps run` has something to keep.
"""

import argparse
import sys
from typing import Final

from benchmarks.images.recipe import Recipe, build_and_say
from tooling.places import REPOSITORY

_EXAMPLE: Final = REPOSITORY / "examples" / "idpl"
_PLACE: Final = "opt/idpl"


def recipe() -> Recipe:
    """Return what the image is made of."""
    wanted = [
        *(_EXAMPLE / "idpl").rglob("*.py"),
        *(_EXAMPLE / "idpl").rglob("*.css"),
        *(_EXAMPLE / "configs").glob("*.yaml"),
        _EXAMPLE / "requirements.txt",
    ]
    return Recipe(
        name="idpl",
        suite="trixie",
        packages=(
            ("python3, pip, numpy", ("python3", "python3-venv", "python3-pip", "python3-numpy")),
            ("PyTorch", ("python3-torch",)),
            ("what IDPL reads with", ("python3-yaml", "python3-pil", "ca-certificates")),
        ),
        files={f"{_PLACE}/{file.relative_to(_EXAMPLE)}": file for file in sorted(wanted)},
        command=("python3", "-m", "idpl", "train", "--out", "/runs/idpl"),
        directory=f"/{_PLACE}",
    )


def main() -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="build-image", description="Build the image of IDPL.")
    parser.add_argument("--push", metavar="HOST:PORT/NAME:TAG", help="to a registry, plain HTTP")
    return build_and_say(recipe(), parser.parse_args().push)


if __name__ == "__main__":
    sys.exit(main())
