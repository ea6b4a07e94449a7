"""What may lie under a step, and what it may leave."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from depsnap.key.ingredients import Ingredient, ingredient
from depsnap.nearest.choosing import may_stand_on
from depsnap.nearest.dry_run import NotProvenError, parse_report, would_install
from depsnap.nearest.proof import difference, distribution, distributions, orphans
from depsnap.tree.entries import Kind

COMMAND = ("pip", "install", "-r", "requirements.txt", "-f", "wheels")


def step(**changed: list[str]) -> list[Ingredient]:
    lines = {
        "command": ["pip", "install"],
        "requirements.txt": ["a==1"],
        "wheels": ["a-1.whl 0123456789ab", "b-1.whl 0123456789ab"],
        "interpreter": ["3.11.7"],
        "installed": ["pip"],
    }
    return [ingredient(name, found) for name, found in (lines | changed).items()]


def test_other_requirements_and_more_archives_are_near() -> None:
    assert may_stand_on(COMMAND, step(), step())
    assert may_stand_on(COMMAND, step(), step(**{"requirements.txt": ["a==2"]}))
    more = ["a-1.whl 0123456789ab", "b-1.whl 0123456789ab", "c-1.whl 0123456789ab"]
    assert may_stand_on(COMMAND, step(), step(wheels=more))


@pytest.mark.parametrize(
    "changed",
    [
        {"interpreter": ["3.11.8"]},
        {"installed": ["pip", "a"]},
        {"wheels": ["a-1.whl ffffffffffff", "b-1.whl 0123456789ab"]},
        {"wheels": ["a-1.whl 0123456789ab"]},
        {"base image": ["sha256:1"]},
    ],
)
def test_another_machine_or_archive_is_not(changed: dict[str, list[str]]) -> None:
    assert not may_stand_on(COMMAND, step(), step(**changed))


SITE = "v/lib/python3.11/site-packages"
CHANGES = [
    ("v", Kind.KEPT),
    (f"{SITE}", Kind.KEPT),
    (f"{SITE}/a", Kind.NEW),
    (f"{SITE}/a/__init__.py", Kind.FILE),
    (f"{SITE}/a/__pycache__", Kind.NEW),
    (f"{SITE}/a/__pycache__/__init__.cpython-311.pyc", Kind.FILE),
    (f"{SITE}/A_b-1.0.dist-info", Kind.NEW),
    (f"{SITE}/A_b-1.0.dist-info/METADATA", Kind.FILE),
    (f"{SITE}/gone-1.0.dist-info/METADATA", Kind.DELETED),
]
OWNED = {f"{SITE}/a/__init__.py": "a 1", f"{SITE}/A_b-1.0.dist-info/METADATA": "a 1"}
EARLIER = {path: kind for path, kind in CHANGES if kind is not Kind.DELETED}


def test_distributions_are_compared_however_they_are_written() -> None:
    assert distributions(CHANGES) == {distribution("a.B", "1.0")}
    assert difference({distribution("a", "1")}, {distribution("b", "1")}) == (
        "a 1 would not be there, b 1 is missing"
    )
    assert difference(distributions(CHANGES), {("a-b", "1.0")}) == ""


def test_what_belongs_to_a_distribution_or_was_compiled_from_it_is_no_orphan() -> None:
    assert orphans(CHANGES, EARLIER, OWNED, lambda _: True) == []


def test_what_was_compiled_from_another_source_is_an_orphan() -> None:
    compiled = f"{SITE}/a/__pycache__/__init__.cpython-311.pyc"
    assert orphans(CHANGES, EARLIER, OWNED, lambda _: False) == [compiled]


def test_a_file_or_an_empty_directory_that_nobody_owns_is_an_orphan() -> None:
    more = [(f"{SITE}/left.py", Kind.FILE), (f"{SITE}/empty", Kind.NEW)]
    found = orphans([*CHANGES, *more], EARLIER | dict(more), OWNED, lambda _: True)
    assert found == [path for path, _ in more]
    assert orphans([*CHANGES, *more], EARLIER, OWNED, lambda _: True) == [], "the command made it"


@pytest.mark.parametrize(
    "command", [("uv", "pip", "install", "a"), ("sh", "x"), ("pip", "download", "a")]
)
def test_who_cannot_say_what_he_would_install_is_not_asked(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(NotProvenError):
        would_install(command, tmp_path, {}, 1)


@given(st.binary(max_size=100) | st.just(b'{"install": [{"metadata": {"name": 3}}]}'))
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptError):
        parse_report(data)


def test_a_report_names_what_would_be_installed() -> None:
    data = b'{"install": [{"metadata": {"name": "A.b", "version": "1.0"}, "x": 1}], "version": "1"}'
    assert parse_report(data) == {("a-b", "1.0")}
