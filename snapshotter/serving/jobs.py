"""One job in a process of its own: started for it, gone with it, killed when it is not wanted.

Protocol: a pickled (function, arguments) on standard input; on standard output a pickled
(True, result) or (False, exception). Both ends are this program, so pickle is safe here. Whatever
the job prints goes to standard error.
"""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

from bootseer.errors import HostError
from snapshotter.parent import die_with_parent

P = ParamSpec("P")
R = TypeVar("R")

_NICE: Final = 5


async def run_job(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` in a new process at lower priority and return its result, or raise what it raised.

    Cancelled, it kills the process. HostError if the process dies without an answer.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "snapshotter.serving.jobs",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        answer, _ = await process.communicate(pickle.dumps((work, args, kwargs)))
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    if not answer:
        name = getattr(work, "__name__", "job")
        raise HostError(
            f"a worker process ended with {process.returncode} during {name}",
            hint="out of memory? see the kernel log",
        )
    done, result = pickle.loads(answer)  # noqa: S301  written by our own child
    if not done:
        raise result
    found: R = result
    return found


def main() -> None:
    """Do one job (see the module's docstring)."""
    if not die_with_parent(signal.SIGKILL, os.getppid()):
        return
    os.nice(_NICE)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    work, args, kwargs = pickle.load(sys.stdin.buffer)  # noqa: S301  written by our own parent
    try:
        outcome = (True, work(*args, **kwargs))
    except Exception as error:  # noqa: BLE001  handed to whoever asked
        outcome = (False, error)
    with suppress(BrokenPipeError), answers:  # who asked was killed, and we are about to be
        pickle.dump(outcome, answers)


if __name__ == "__main__":
    main()
