"""nerdctl for tests: a client of containerd with ways of its own to ask for lazy layers."""

from typing import Final

from tooling.go_program import GoProgram

NERDCTL: Final = GoProgram(
    "nerdctl", "nerdctl", (1, 26), package="github.com/containerd/nerdctl/v2/cmd/nerdctl"
)
