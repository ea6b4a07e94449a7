"""Which snapshot a step may be run on. Pure."""

from collections.abc import Sequence

from depsnap.key.ingredients import Ingredient
from depsnap.key.installers import option_values
from depsnap.limits import DEFAULT, Limits

_COMMAND = "command"


def may_stand_on(
    command: Sequence[str],
    old: Sequence[Ingredient],
    new: Sequence[Ingredient],
    limits: Limits = DEFAULT,
) -> bool:
    """Say whether a step with the ingredients `new` may find in place what one with `old` left.

    What is installed by then must be the same: the machine, the interpreter, what was there before,
    and every archive that there was. The command may be another, and requirements may be, and there
    may be more archives to choose from.
    """
    asked = {_COMMAND, *option_values(command, "-r", "--requirement", "-c", "--constraint")}
    before = {one.name: one for one in old}
    after = {one.name: one for one in new}
    for name in before.keys() | after.keys():
        was, now = before.get(name), after.get(name)
        if name in asked or was == now:
            continue
        if was is None or now is None or not _only_more(was, now, limits):
            return False
    return True


def _only_more(was: Ingredient, now: Ingredient, limits: Limits) -> bool:
    """Say whether an ingredient has all that it had, each with its digest, and more."""
    told = 0 < len(was.detail) < limits.detail_lines and len(now.detail) < limits.detail_lines
    digests = all(len(line.rpartition(" ")[2]) == 12 for line in was.detail)
    return told and digests and set(was.detail) < set(now.detail)
