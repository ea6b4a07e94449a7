"""The stages of this very process: for jobs that say `bootseer.stage(...)`."""

import functools
import os

from bootseer.events.stages import Stages
from bootseer.events.surroundings import stages_of


@functools.cache
def own_stages() -> Stages:
    """Return what writes this process' events, by its environment when it is first asked."""
    return stages_of(os.environ, "")
