"""What makes layers in the formats of other snapshotters, for tests: with their own libraries."""

from typing import Final

from tooling.go_program import GoProgram

LAYER_MAKER: Final = GoProgram(
    "layer_maker", "stargz', podman's and SOCI's libraries", (1, 25), with_c=True
)
