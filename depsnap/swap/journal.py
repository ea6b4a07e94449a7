"""The steps of a swap as a file, for whoever finds it after a crash."""

import json
from typing import Any

from bootseer.atomic import write_atomic
from bootseer.errors import CorruptError
from depsnap.swap.steps import Act, Owner, Step
from depsnap.swap.workplace import Workplace


def write_journal(work: Workplace, steps: list[Step]) -> None:
    """Write down what is to be done. From here on it is finished, whatever happens.

    Not synced: it protects against a killed process, not against a power failure, after which
    nothing that was unpacked is sure to be there either.
    """
    rows = [[step.act.value, step.path, _owner(step.before), _owner(step.after)] for step in steps]
    write_atomic(work.journal, json.dumps(rows).encode(), durable=False)


def read_journal(work: Workplace) -> list[Step] | None:
    """Return what is to be done; None if nothing was written down.

    Raises:
        CorruptError: the journal makes no sense.
    """
    try:
        data = work.journal.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return [_step(row) for row in json.loads(data)]
    except (ValueError, TypeError) as error:
        raise CorruptError(f"{work.journal} is no journal") from error


def _owner(owner: Owner | None) -> list[int] | None:
    return [owner.mode, owner.uid, owner.gid] if owner else None


def _step(row: Any) -> Step:
    act, path, before, after = row
    return Step(
        Act(act), path, Owner(*before) if before else None, Owner(*after) if after else None
    )
