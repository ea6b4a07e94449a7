"""Where events of this process go and whose they are, by environment and configuration."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bootseer.events.event import Origin
from bootseer.events.stages import Stages

DESTINATION: Final = "BOOTSEER_EVENTS"
"""The variable that names the file or directory; before the configuration, and empty: nowhere."""
_JOB: Final = ("BOOTSEER_JOB", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
_ATTEMPT: Final = ("BOOTSEER_ATTEMPT", "TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
_NODE: Final = ("BOOTSEER_NODE", "NODE_NAME")
_RANK: Final = (
    "BOOTSEER_RANK",
    "RANK",
    "OMPI_COMM_WORLD_RANK",
    "PMIX_RANK",
    "PMI_RANK",
    "SLURM_PROCID",
)
"""Variables of launchers; the first that is set says it."""
_MOST: Final = 1 << 31


def origin_of(environment: Mapping[str, str], host: str, job: str = "") -> Origin:
    """Return who a process is. Pure; numbers that are none count as not set.

    `host` and `job` are names for want of one in the environment.
    """
    return Origin(
        _first(environment, _JOB) or job,
        _number(_first(environment, _ATTEMPT)) or 0,
        _first(environment, _NODE) or host,
        _number(_first(environment, _RANK)),
    )


def stages_of(environment: Mapping[str, str], configured: str, job: str = "") -> Stages:
    """Return what writes the events of a process in this environment."""
    destination = environment.get(DESTINATION, configured)
    origin = origin_of(environment, socket.gethostname(), job)
    if not destination:
        return Stages(origin, None)
    from bootseer.events.sink import FileSink  # noqa: PLC0415 (most processes write none)

    return Stages(origin, FileSink(Path(destination), origin.node))


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    number = int(text[:11])
    return number if number < _MOST else None
