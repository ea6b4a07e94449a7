"""The documentation: links lead somewhere, what it quotes is in the code, commands exist."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from bootseer.cli.main import cli
from tooling.places import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")])
CODE = ("bootseer", "snapshotter", "depsnap", "fuse_hdfs", "tooling")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
EVENT = re.compile(r"`([a-z]+\.[a-z_]+)`")
WHOLE = "\N{HORIZONTAL ELLIPSIS}"


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", title.lower().replace("`", ""))
        found.add(plain.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_files_and_headings_that_there_are(page: Path) -> None:
    for target in LINK.findall(without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_index_has_every_page() -> None:
    index = DOCS / "README.md"
    listed = {(DOCS / one.partition("#")[0]).resolve() for one in LINK.findall(index.read_text())}
    pages = {page.resolve() for page in DOCS.rglob("*.md")} - {index.resolve()}
    missing = {page for page in pages if page not in listed and page.parent not in listed}
    assert not missing


def literals(tree: ast.AST) -> Iterator[str]:
    """Yield every text in a module; what is filled in is one character."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else WHOLE for p in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def texts() -> frozenset[str]:
    files = [file for name in CODE for file in (REPOSITORY / name).rglob("*.py")]
    return frozenset(text for file in files for text in literals(ast.parse(file.read_text())))


def fits(quoted: str, text: str) -> bool:
    """Say whether a text of the code may come out as it is quoted, with gaps on both sides."""
    pieces = [re.escape(piece) for piece in quoted.split(WHOLE)]
    gap = f"[^{WHOLE}]*{WHOLE}.*?"
    return re.search(f"{gap}".join(pieces).removeprefix(gap), text) is not None


def quotes() -> list[str]:
    text = (DOCS / "troubleshooting.md").read_text()
    blocks = re.findall(r"^```text\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(rf"`([^`\n]+ [^`\n]*: {WHOLE})`", text)
    return [one.removeprefix("error: ").strip(f"{WHOLE} ") for one in [*blocks, *inline]]


@pytest.mark.parametrize("quoted", quotes())
def test_an_error_in_troubleshooting_is_one_that_the_code_can_say(quoted: str) -> None:
    assert any(fits(quoted, text) for text in texts()), quoted


def test_an_event_in_troubleshooting_is_one_that_the_code_writes() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    settings = (DOCS / "reference" / "configuration.md").read_text()
    named = {name for name in EVENT.findall(text) if f"`{name}`" not in settings}
    named -= {name for name in named if (DOCS / name).exists() or name.startswith("bootseer.")}
    assert len(named) > 20
    assert not {name for name in named if name not in texts()}


def commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        inner = group.get_command(context, name)
        yield (*words, name)
        if isinstance(inner, click.Group):
            yield from commands(inner, (*words, name))


def test_commands_in_the_documentation_exist() -> None:
    known = set(commands(cli, ()))
    groups = {words[0] for words in known if len(words) > 1}
    for page in PAGES:
        for words in re.findall(r"`bootseer ([a-z][a-z ]*)", page.read_text()):
            first, *rest = words.split()
            if (first,) not in known:
                continue  # a word of a sentence, as in `bootseer deps:`
            if first in groups and rest:
                assert (first, rest[0]) in known, f"{page.name}: bootseer {words}"
