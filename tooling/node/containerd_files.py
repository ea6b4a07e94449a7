"""What containerd's configuration needs so that it uses Bootseer. Pure: texts in, texts out.

Bootseer's part is a file of its own that containerd's imports. containerd 2.x merges an imported
plugin section key by key; 1.x replaces the whole section, so there the drop-in repeats what the
main file says.

k3s and RKE2 write the main file anew whenever they start, from a template. Newer ones import a
directory by themselves; of older ones the template gets the import, above what they put there.
"""

import fnmatch
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from tooling.node.layouts import Layout
from tooling.node.toml_text import dumps
from tooling.running import SetupError

_MARK: Final = "# added by bootseer's bootstrap-node"
_BASE: Final = '{{ template "base" . }}\n'
_HEAD: Final = (
    "# Written by bootseer's bootstrap-node. Run it again after a change of config.toml.\n"
)


def drop_in(template: str, main: str | None, layout: Layout, *, platform: str, major: int) -> str:
    """Return the drop-in: `template` for this platform, on 1.x with the main file's settings.

    Raises `SetupError` when `main` is not TOML.
    """
    template = template.replace("linux/amd64", platform)
    if major >= 2 or main is None:
        return template
    theirs, ours = _read(main, layout.main).get("plugins", {}), tomllib.loads(template)
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


def with_import(main: str | None, layout: Layout, *, major: int) -> str:
    """Return containerd's main file with an import of the drop-in; unchanged where it has one.

    Raises `SetupError` where the file is not TOML, or its imports can't be extended safely.
    """
    if main is None:
        return _whole(layout, 3 if major >= 2 else 2)
    table = _read(main, layout.main)
    imports = table.get("imports")
    if imports is not None:
        if _covers(imports, layout):
            return main
        raise SetupError(
            f'{layout.main} has imports without "{layout.imports}": add it to the list and run'
            " this again"
        )
    line = _line(layout)
    changed = _insert_before_tables(main, line)
    if _read(changed, layout.main) != {**table, "imports": [layout.imports]}:
        raise SetupError(
            f"{layout.main}: put this line above its first table, then run again: {line}"
        )
    return changed


def without_import(main: str, layout: Layout) -> str | None:
    """Return the file without what was added to it; None where nothing else is in it."""
    line = _line(layout)
    if main in {*(_whole(layout, version) for version in (2, 3)), f"{line}\n{_BASE}"}:
        return None
    return "".join(one for one in main.splitlines(keepends=True) if one.strip() != line)


def template_with_import(template: str | None, made: str | None, layout: Layout) -> str | None:
    """Return the template as it should be, so that `made`, what became of it, has the import.

    None: there need not be one. Raises `SetupError` where somebody else's imports are in it.
    """
    line = _line(layout)
    ours = template is not None and line in template.splitlines()
    try:
        imports = tomllib.loads(made or "").get("imports")
    except tomllib.TOMLDecodeError as error:
        if ours and template is not None and _twice(made or ""):  # a newer k3s brings its own
            rest = without_import(template, layout)
            return _BASE if rest is None else rest
        raise SetupError(f"{layout.main} is not valid TOML ({error})") from error
    if ours or (imports is not None and _covers(imports, layout)):
        return template
    if imports is not None:
        raise SetupError(
            f'{layout.edited} has imports without "{layout.imports}": add it to the list and run'
            " this again"
        )
    return f"{line}\n{template or _BASE}"


def _covers(imports: list[str], layout: Layout) -> bool:
    return any(fnmatch.fnmatch(layout.drop_in, pattern) for pattern in imports)


def _twice(made: str) -> bool:
    return len(re.findall(r"^imports\s*=", made, re.MULTILINE)) > 1


def _line(layout: Layout) -> str:
    return f'imports = ["{layout.imports}"] {_MARK}'


def _whole(layout: Layout, version: int) -> str:
    return f"{_MARK}\nversion = {version}\n{_line(layout)}\n"


def _insert_before_tables(text: str, line: str) -> str:
    """Put `line` after the `version` line, or at the top."""
    match = re.search(r"^\s*version\s*=.*$", text, re.MULTILINE)
    first_table = re.search(r"^\s*\[", text, re.MULTILINE)
    if match is None or (first_table is not None and first_table.start() < match.start()):
        return f"{line}\n{text}"
    return f"{text[: match.end()]}\n{line}{text[match.end() :]}"


def _read(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(
            f"{path} is not valid TOML ({error}); containerd would refuse it"
        ) from error
