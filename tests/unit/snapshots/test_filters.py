"""containerd's filter expressions."""

import contextlib
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT
from snapshotter.snapshots.filters import Selector, parse, parse_all
from snapshotter.snapshots.records import Info, Kind

REF = "containerd.io/snapshot.ref"
DIGEST = "sha256:" + "5f" * 32


def info(
    name: str = "n",
    parent: str = "",
    kind: Kind = Kind.ACTIVE,
    labels: dict[str, str] | None = None,
) -> Info:
    return Info(name, parent, kind, 1, 1, labels or {})


def matches(expression: str, one: Info) -> bool:
    return parse_all([expression])(one)


def test_the_filter_of_containerds_metadata_store_is_understood() -> None:
    """An unquoted value with a colon, then a quoted one."""
    expression = f'labels."{REF}"=={DIGEST},parent==""'
    assert parse(expression) == (
        Selector(("labels", REF), "==", DIGEST),
        Selector(("parent",), "==", ""),
    )
    assert matches(expression, info(labels={REF: DIGEST}))
    assert not matches(expression, info(parent="p", labels={REF: DIGEST}))
    assert not matches(expression, info(labels={REF: "sha256:00"}))
    assert not matches(expression, info())


@pytest.mark.parametrize(
    ("expression", "selectors"),
    [
        ("", ()),
        ("name", (Selector(("name",), "", ""),)),
        ("name==a/b-c.d:e", (Selector(("name",), "==", "a/b-c.d:e"),)),
        ("name == a", (Selector(("name",), "==", "a"),)),
        ("labels.a.b_1", (Selector(("labels", "a", "b_1"), "", ""),)),
        ('labels."a.b".c!=d', (Selector(("labels", "a.b", "c"), "!=", "d"),)),
        ("name~=/^a\\/b$/", (Selector(("name",), "~=", "^a/b$"),)),
        ("name~=|a b|,kind", (Selector(("name",), "~=", "a b"), Selector(("kind",), "", ""))),
        ('name=="a,b\\n\\x41\\101\\u00e9"', (Selector(("name",), "==", "a,b\nAAé"),)),
        ("name==é→", (Selector(("name",), "==", "é→"),)),
        ("0==1", (Selector(("0",), "==", "1"),)),
        ("name==a=b", (Selector(("name",), "==", "a=b"),)),
    ],
)
def test_expressions_of_the_grammar_are_parsed(
    expression: str, selectors: tuple[Selector, ...]
) -> None:
    assert parse(expression) == selectors


@pytest.mark.parametrize(
    "expression",
    [
        ",",
        "name,",
        ",name",
        "name=",
        "name==",
        "name===a",
        "name<a",
        "name==a b",
        "name==a ",
        "name==/a/",
        "name==.a",
        "name=='a'x ",
        '"name',
        'name=="a',
        'name=="a\n"',
        'name=="\\q"',
        'name=="\\x4"',
        'name=="\\400"',
        'name=="\\ud800"',
        'name=="\\xff"',
        'name=="\\U00110000"',
        'name=="a""b"',
        "name~=(",
        "name~=a{99999999999999999999}",
        "labels.",
        "a-b==c",
        "name==\0",
        "name==\ufffd",
    ],
)
def test_other_expressions_are_usage_errors_that_show_the_place(expression: str) -> None:
    with pytest.raises(UsageError, match="character"):
        parse(expression)


def test_operators() -> None:
    one = info("alpha", "beta", Kind.COMMITTED, {"l": "1"})
    assert matches("kind==committed", one)
    assert not matches("kind==active", one)
    assert matches("kind!=active", one)
    assert matches("name~=^al", one)
    assert matches("name~=ph", one)
    assert not matches("name~=^ph", one)
    assert matches("labels.l", one)
    assert not matches("labels.m", one)
    assert not matches("labels", one)
    assert matches("labels.m!=1", one)
    assert not matches('labels.m!=""', one)
    assert not matches("unknown", one)
    assert not matches('unknown==""', one)
    assert matches('parent!=""', one)
    assert matches("name", info(""))


def test_all_selectors_of_an_expression_must_match_and_any_expression() -> None:
    one = info("a", "b")
    assert parse_all(["name==a,parent==b"])(one)
    assert not parse_all(["name==a,parent==c"])(one)
    assert parse_all(["name==x", "parent==b"])(one)
    assert not parse_all(["name==x", "parent==y"])(one)
    assert parse_all([])(one)
    assert parse_all(["name==x", ""])(one)


@pytest.mark.parametrize(
    ("expressions", "label"),
    [
        ([f'labels."{REF}"=={DIGEST},parent==""'], (REF, DIGEST)),
        (["kind==active,labels.a.b==c"], ("a.b", "c")),
        (["labels.a!=b"], None),
        (["labels.a~=b"], None),
        (["labels.a"], None),
        (["name==a"], None),
        (["labels.a==b", "name==c"], None),
        ([], None),
    ],
)
def test_a_label_that_all_matches_have_is_known(
    expressions: list[str], label: tuple[str, str] | None
) -> None:
    assert parse_all(expressions).needed_label == label


def test_limits() -> None:
    with pytest.raises(UsageError, match="exceeds"):
        parse("a" * (DEFAULT.filter + 1))
    with pytest.raises(UsageError, match="exceed"):
        parse_all(["a"] * (DEFAULT.filters + 1))


@given(st.text())
@example('labels."')
@example("a~=[")
@example("a==\ud800")
def test_any_text_parses_or_is_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_all([text])(info())


@given(st.text(alphabet='ab.,="/|\\~!x41u0 ', max_size=30))
def test_any_near_miss_parses_or_is_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse(text)


def quoted(text: str) -> str:
    """Quote as Go's %q does, in its plainest form."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"))
FIELD = st.text(string.ascii_letters + string.digits + "_", min_size=1)
BARE = st.text(
    st.characters(categories=["L", "N", "P", "S"], exclude_characters=",\ufffd"), min_size=1
).filter(lambda text: text[0] not in '."/|=!~')


@given(st.lists(st.tuples(st.lists(TEXT, min_size=1), st.sampled_from(["==", "!="]), TEXT)))
def test_whatever_is_quoted_comes_back(parts: list[tuple[list[str], str, str]]) -> None:
    expression = ",".join(
        ".".join(map(quoted, path)) + operator + quoted(value) for path, operator, value in parts
    )
    assert parse(expression) == tuple(
        Selector(tuple(path), operator, value) for path, operator, value in parts
    )


@given(FIELD, BARE)
def test_values_without_spaces_and_commas_need_no_quotes(field: str, value: str) -> None:
    assert parse(f"{field}=={value}") == (Selector((field,), "==", value),)


@given(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
def test_a_snapshot_is_found_by_each_of_its_own_fields(
    name: str, parent: str, labels: dict[str, str]
) -> None:
    one = Info(name, parent, Kind.VIEW, 1, 1, labels)
    assert matches(f"name=={quoted(name)},parent=={quoted(parent)},kind==view", one)
    for key, value in labels.items():
        assert matches(f"labels.{quoted(key)}=={quoted(value)}", one)
