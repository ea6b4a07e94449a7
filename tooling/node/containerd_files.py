"""What containerd's configuration needs so that it uses Bootseer. Pure: texts in, texts out.

Bootseer's part is a file of its own that containerd's imports. containerd 2.x merges an imported
plugin section key by key; 1.x replaces the whole section, so there the drop-in repeats what the
main file says.
"""

import fnmatch
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from tooling.node.toml_text import dumps
from tooling.running import SetupError

DROP_IN: Final = "/etc/containerd/conf.d/bootseer.toml"
MAIN: Final = "/etc/containerd/config.toml"
_IMPORTS: Final = "/etc/containerd/conf.d/*.toml"
_MARK: Final = "# added by bootseer's bootstrap-node"
_LINE: Final = f'imports = ["{_IMPORTS}"] {_MARK}'
_WHOLE: Final = f"{_MARK}\nversion = {{version}}\n{_LINE}\n"
_HEAD: Final = (
    "# Written by bootseer's bootstrap-node. Run it again after a change of config.toml.\n"
)


def drop_in(template: str, main: str | None, *, platform: str, major: int) -> str:
    """Return the drop-in: `template` for this platform, on 1.x with the main file's settings.

    Raises `SetupError` when `main` is not TOML.
    """
    template = template.replace("linux/amd64", platform)
    if major >= 2 or main is None:
        return template
    theirs, ours = _read(main).get("plugins", {}), tomllib.loads(template)
    repeated = {name: theirs[name] for name in ours["plugins"] if name in theirs}
    return _HEAD + dumps(merged({"plugins": repeated}, ours))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over`, tables merged at every depth."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both and isinstance(below, Mapping) else value
    return result


def with_import(main: str | None, *, major: int) -> str:
    """Return containerd's main file with an import of the drop-in; unchanged where it has one.

    Raises `SetupError` where the file is not TOML, or its imports can't be extended safely.
    """
    if main is None:
        return _WHOLE.format(version=3 if major >= 2 else 2)
    table = _read(main)
    imports = table.get("imports")
    if imports is not None:
        if any(fnmatch.fnmatch(DROP_IN, pattern) for pattern in imports):
            return main
        raise SetupError(
            f'{MAIN} has imports without "{_IMPORTS}": add it to the list and run this again'
        )
    changed = _insert_before_tables(main, _LINE)
    if _read(changed) != {**table, "imports": [_IMPORTS]}:
        raise SetupError(f"{MAIN}: put this line above its first table, then run again: {_LINE}")
    return changed


def without_import(main: str) -> str | None:
    """Return the main file without what `with_import` added; None where nothing else is in it."""
    if main in {_WHOLE.format(version=version) for version in (2, 3)}:
        return None
    return "".join(line for line in main.splitlines(keepends=True) if line.strip() != _LINE)


def _insert_before_tables(text: str, line: str) -> str:
    """Put `line` after the `version` line, or at the top."""
    match = re.search(r"^\s*version\s*=.*$", text, re.MULTILINE)
    first_table = re.search(r"^\s*\[", text, re.MULTILINE)
    if match is None or (first_table is not None and first_table.start() < match.start()):
        return f"{line}\n{text}"
    return f"{text[: match.end()]}\n{line}{text[match.end() :]}"


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(
            f"{MAIN} is not valid TOML ({error}); containerd would refuse it"
        ) from error
