"""An OpenTelemetry collector for tests."""

from typing import Final

from tooling.go_program import GoProgram

COLLECTOR: Final = GoProgram("collector", "an OpenTelemetry collector", (1, 26))
