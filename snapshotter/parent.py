"""Processes that must not outlive the one that started them. Linux: prctl(2)."""

import ctypes
import os
from signal import Signals
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(number: Signals, parent: int) -> bool:
    """Ask for a signal when our parent ends; False if `parent` (a process id) ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    return os.getppid() == parent
