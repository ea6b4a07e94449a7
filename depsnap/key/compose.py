"""The key of a command on this machine: all ingredients, in their order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import HostError, UsageError
from depsnap.key.environment import environment_ingredient
from depsnap.key.files import Inputs, inputs_of
from depsnap.key.freshness import is_lasting
from depsnap.key.ingredients import SCHEMA, Ingredient, ingredient, key_of
from depsnap.key.installers import Installer, installer_of
from depsnap.key.interpreter import (
    Interpreter,
    answer,
    ask,
    find_python,
    installed_ingredient,
    interpreter_ingredient,
)
from depsnap.key.redaction import redact_words
from depsnap.key.roots import normal_roots
from depsnap.key.system import account_ingredients, native_ingredient, system_ingredients


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a user says of an install step."""

    command: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    roots: tuple[str, ...] = ()
    """Directories that the command changes; empty: those of its Python."""
    python: Path | None = None
    """The Python that it installs for; None: found by the command."""
    base_image: str = ""
    """Digest of the image below, where that is known."""
    native: bool = False
    """Whether what is compiled depends on processor and GPU."""
    extra: tuple[str, ...] = ()
    """What else the outcome depends on."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A key, and what is known of the command besides."""

    key: str
    ingredients: tuple[Ingredient, ...]
    roots: tuple[str, ...]
    """Absolute, none inside another."""
    interpreter: Interpreter | None
    lasting: bool
    """Whether the command gives the same every day."""

    def ingredient(self, name: str) -> Ingredient | None:
        """Return the ingredient of that name."""
        return next((one for one in self.ingredients if one.name == name), None)


def compose(request: KeyRequest) -> Composed:
    """Return the key of a command.

    Raises:
        UsageError: there is nothing that it could change, or it reads too much.
        HostError: a file or the interpreter cannot be read or started.
    """
    if not request.command:
        raise UsageError("no command")
    program = request.python or find_python(request.command, request.environment, request.cwd)
    asked = ask(program, request.environment) if program else None
    installer = installer_of(request.command)
    try:
        # The interpreter starts meanwhile.
        inputs = inputs_of(request.command, installer, request.cwd)
        system = system_ingredients()
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    finally:
        python = answer(program, asked) if program and asked else None
    roots = normal_roots(request.roots or (python.roots if python else ()))
    if not roots:
        raise UsageError("no Python found whose directories would change", hint="give --root")
    try:
        system += account_ingredients(roots)
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    ingredients = _ordered(request, python, roots, inputs, system)
    lasting = is_lasting(request.command, installer, inputs.pinned)
    return Composed(key_of(ingredients), tuple(ingredients), roots, python, lasting)


def composed_again(before: Composed) -> tuple[Ingredient, ...]:
    """Return the ingredients after the command has run: those that it may have changed anew.

    Raises:
        HostError: a file cannot be read.
    """
    try:
        accounts = account_ingredients(before.roots)
        system = {one.name: one for one in (*system_ingredients(), *accounts)}
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    if before.interpreter is not None:
        system["installed"] = installed_ingredient(before.interpreter)
    return tuple(system.get(one.name, one) for one in before.ingredients)


def _ordered(
    request: KeyRequest,
    python: Interpreter | None,
    roots: tuple[str, ...],
    inputs: Inputs,
    system: list[Ingredient],
) -> list[Ingredient]:
    found = [
        ingredient("schema", [SCHEMA]),
        ingredient("command", redact_words(list(request.command))),
        *inputs.ingredients,
    ]
    if request.base_image:
        found.append(ingredient("base image", [request.base_image]))
    if python is not None:
        found += [interpreter_ingredient(python), installed_ingredient(python)]
    found += [
        *system,
        ingredient("roots", roots),
        environment_ingredient(request.environment),
    ]
    # What a setup.py builds is compiled here.
    if request.native or installer_of(request.command) is Installer.SETUP:
        found.append(native_ingredient())
    if request.extra:
        found.append(ingredient("extra", request.extra))
    return found
