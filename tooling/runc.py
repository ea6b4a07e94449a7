"""A newer runc than Debian's, for tests: one that can map the ids of a pod's volumes."""

from typing import Final

from tooling.go_program import GoProgram

RUNC: Final = GoProgram(
    "runc", "runc", (1, 24), with_c=True, package="github.com/opencontainers/runc"
)
