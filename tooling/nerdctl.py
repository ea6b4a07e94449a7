"""nerdctl, for tests: built from its own package.

Its module requires another one by a path in its own repository, which no proxy has. What the
command needs of that is one interface; `tests/nerdctl/tigron` has it.
"""

from typing import Final

from tooling.go_program import GoProgram

NERDCTL: Final = GoProgram(
    "nerdctl", "nerdctl", (1, 25), package="github.com/containerd/nerdctl/v2/cmd/nerdctl"
)
