"""Keys: what changes them, what does not, and what is said of a difference."""

import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from depsnap.key.compose import Composed, KeyRequest, compose
from depsnap.key.environment import environment_ingredient
from depsnap.key.explain import explain
from depsnap.key.freshness import is_lasting
from depsnap.key.ingredients import ingredient, key_of
from depsnap.key.installers import Installer, installer_of, option_values, positional
from depsnap.key.interpreter import find_python
from depsnap.key.redaction import redact_text, redact_words
from depsnap.key.requirements import is_pinned, local_path, parse_requirements
from depsnap.key.roots import normal_roots
from depsnap.key.system import account_ingredients, cpu_class


def composed(cwd: Path, *command: str, **variables: str) -> Composed:
    step = KeyRequest(command, cwd, {"PATH": os.environ["PATH"], **variables}, ("/nowhere",))
    return compose(KeyRequest(**{**_fields(step), "python": Path(sys.executable)}))


def _fields(step: KeyRequest) -> dict[str, object]:
    return {name: getattr(step, name) for name in KeyRequest.__slots__}


def install(cwd: Path, *words: str, **variables: str) -> str:
    return composed(cwd, "pip", "install", *words, **variables).key


def test_equal_steps_have_equal_keys(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("a==1\n")
    assert install(tmp_path, "-r", "r.txt") == install(tmp_path, "-r", "r.txt")


def test_the_command_counts_word_for_word(tmp_path: Path) -> None:
    assert install(tmp_path, "x") != install(tmp_path, "-U", "x")


@pytest.mark.parametrize(
    "line", ["-r nested.txt", "-c nested.txt", "--requirement=nested.txt", "-rnested.txt"]
)
def test_contents_of_nested_files_count(tmp_path: Path, line: str) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "r.txt").write_text(f"{line}\n")
    (below / "nested.txt").write_text("a==1\n")
    before = install(tmp_path, "-r", "below/r.txt")
    (below / "nested.txt").write_text("a==2\n")
    assert install(tmp_path, "-r", "below/r.txt") != before


def test_files_that_name_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("-r a.txt\n")
    assert install(tmp_path, "-r", "a.txt")


def wheel(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("x/__init__.py"), content)


@pytest.mark.parametrize("how", ["word", "links", "in a file", "direct"])
def test_contents_of_a_wheel_count_under_the_same_name(tmp_path: Path, how: str) -> None:
    archive = tmp_path / "x-1-py3-none-any.whl"
    (tmp_path / "r.txt").write_text(
        f"x @ file://{archive}\n" if how == "direct" else f"./{archive.name}\n"
    )
    words = {
        "word": (f"./{archive.name}",),
        "links": ("-f", str(tmp_path), "x"),
        "in a file": ("-r", "r.txt"),
        "direct": ("-r", "r.txt"),
    }[how]
    wheel(archive, b"A = 1")
    before = install(tmp_path, *words)
    wheel(archive, b"A = 1")
    assert install(tmp_path, *words) == before
    wheel(archive, b"A = 2")
    assert install(tmp_path, *words) != before


def test_contents_of_a_source_tree_count_but_not_what_is_built_in_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "p").mkdir(parents=True)
    (tree / "p/a.py").write_text("1")
    before = install(tmp_path, "-e", "./tree")
    for built in ("build", "p/__pycache__", "x.egg-info", ".git"):
        (tree / built).mkdir()
        (tree / built / "x").write_text("x")
    assert install(tmp_path, "-e", "./tree") == before
    (tree / "p/a.py").write_text("2")
    assert install(tmp_path, "-e", "./tree") != before


def test_contents_of_a_script_count(tmp_path: Path) -> None:
    (tmp_path / "install.sh").write_text("pip install x")
    before = composed(tmp_path, "bash", "install.sh").key
    (tmp_path / "install.sh").write_text("pip install y")
    assert composed(tmp_path, "bash", "install.sh").key != before


def test_variables_of_installers_count_and_those_of_caches_do_not(tmp_path: Path) -> None:
    before = install(tmp_path, "x")
    assert install(tmp_path, "x", PIP_INDEX_URL="https://other/simple") != before
    assert install(tmp_path, "x", TORCH_CUDA_ARCH_LIST="9.0") != before
    for name in ("PIP_CACHE_DIR", "MAX_JOBS", "UV_CONCURRENT_DOWNLOADS", "HOSTNAME", "RANK"):
        assert install(tmp_path, "x", **{name: "1"}) == before


SECRETS = [
    {"PIP_INDEX_URL": "https://me:{}@host/simple"},
    {"UV_INDEX_URL": "https://{}@host/simple"},
    {"PIP_EXTRA_INDEX_URL": "https://host/simple?token={}"},
    {"UV_PUBLISH_TOKEN": "{}"},
    {"UV_INDEX_MINE_PASSWORD": "{}"},
]


@pytest.mark.parametrize("variables", SECRETS)
def test_a_new_token_is_no_new_key_and_is_nowhere(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    one, two = (
        composed(tmp_path, "pip", "install", "x", **{k: v.format(t) for k, v in variables.items()})
        for t in ("hunter2", "swordfish")
    )
    assert one.key == two.key
    assert "hunter2" not in repr(one.ingredients)


def test_a_token_in_a_requirements_file_is_no_new_key_and_is_nowhere(tmp_path: Path) -> None:
    found = []
    for token in ("hunter2", "swordfish"):
        (tmp_path / "r.txt").write_text(f"--index-url https://me:{token}@host/simple\na==1\n")
        found.append(composed(tmp_path, "pip", "install", "-r", "r.txt"))
    assert found[0].key == found[1].key
    assert "hunter2" not in repr(found[0].ingredients)


@given(st.text("abc:/@?&=-. ", max_size=40), st.text("xyz", min_size=8, max_size=12))
def test_what_stands_for_a_user_in_an_address_is_removed(text: str, secret: str) -> None:
    assert secret not in redact_text(f"{text} https://u:{secret}@host/x {text}")
    assert secret not in redact_text(f"{text} https://host/x?token={secret} {text}")


def test_secrets_behind_options_are_removed() -> None:
    words = ["x", "--password", "hunter2", "--api-token=hunter2", "--name", "kept"]
    assert redact_words(words) == ["x", "--password", "***", "--api-token=***", "--name", "kept"]


def test_two_patch_levels_of_an_interpreter_are_two_keys() -> None:
    one = ingredient("interpreter", ["3.11.7 (main)", "/usr/bin/python3.11"])
    two = ingredient("interpreter", ["3.11.8 (main)", "/usr/bin/python3.11"])
    assert key_of([one]) != key_of([two])
    assert explain([one], [two]) == ["interpreter line 1 changed: 3.11.7 (main) -> 3.11.8 (main)"]


def test_a_difference_is_said_with_its_line() -> None:
    lines = [f"p{number}==1" for number in range(20)]
    other = [*lines[:11], "torch==2.1", *lines[12:]]
    found = explain(
        [ingredient("requirements.txt", lines)], [ingredient("requirements.txt", other)]
    )
    assert found == ["requirements.txt line 12 changed: p11==1 -> torch==2.1"]


def test_of_many_differences_some_are_said() -> None:
    old = ingredient("r", [f"a{n}" for n in range(50)])
    found = explain([old], [ingredient("r", [f"b{n}" for n in range(50)])])
    assert len(found) == 6
    assert found[-1] == "r: 45 more lines changed"


def test_ingredients_that_come_and_go_are_said() -> None:
    one, two = ingredient("extra", ["x"]), ingredient("base image", ["y"])
    assert explain([one], [two]) == ["base image is new", "extra is gone"]
    assert explain([one], [one]) == []


@given(st.lists(st.text(max_size=5), max_size=5), st.lists(st.text(max_size=5), max_size=5))
def test_different_lines_are_always_a_difference(old: list[str], new: list[str]) -> None:
    one, two = ingredient("f", old), ingredient("f", new)
    assert bool(explain([one], [two])) == (one.digest != two.digest)


@pytest.mark.parametrize(
    ("line", "pinned"),
    [
        ("a==1.0", True),
        ("a[x,y] == 1.0 ; python_version > '3'", True),
        ("a==1.0 --hash=sha256:00", True),
        ("a===1.0", True),
        ("a @ https://host/a-1.0-py3-none-any.whl", True),
        ("a", False),
        ("a>=1", False),
        ("a==1.*", False),
        ("a==1,!=2", False),
        ("a @ git+https://host/a", False),
    ],
)
def test_a_requirement_that_allows_one_version_is_pinned(line: str, pinned: bool) -> None:
    assert is_pinned(line) is pinned
    assert parse_requirements(f"# comment\n{line}  # why\n").pinned is pinned


def test_what_is_pinned_lasts_and_what_upgrades_does_not() -> None:
    for words, lasts in (
        (("pip", "install", "a==1"), True),
        (("pip", "install", "a"), False),
        (("pip", "install", "-U", "a==1"), False),
        (("python", "-m", "pip", "install", "./a.whl"), True),
        (("uv", "pip", "install", "a==1"), True),
        (("uv", "sync"), True),
        (("npm", "ci"), True),
        (("npm", "install"), False),
        (("apt-get", "install", "-y", "x"), False),
        (("sh", "x.sh"), False),
    ):
        assert is_lasting(words, installer_of(words), files_pinned=True) is lasts, words
    assert not is_lasting(("pip", "install", "-r", "r"), Installer.PIP, files_pinned=False)


def test_words_that_name_something_to_install_are_told_from_options() -> None:
    words = ["pip", "install", "-r", "r.txt", "--index-url", "u", "a==1", "-U", "./b[x]"]
    assert positional(words) == ["a==1", "./b[x]"]
    assert local_path("./b[x]") == "./b"
    assert option_values(["-rx", "-r", "y", "--requirement=z"], "-r", "--requirement") == [
        "x",
        "y",
        "z",
    ]


@given(st.text(max_size=200))
def test_any_text_is_read_as_requirements(text: str) -> None:
    parse_requirements(text)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_any_command_is_read(words: list[str]) -> None:
    is_lasting(words, installer_of(words), files_pinned=True)
    positional(words)


def test_the_python_of_a_command_is_found(tmp_path: Path) -> None:
    venv = tmp_path / "venv/bin"
    venv.mkdir(parents=True)
    (venv / "python").symlink_to(sys.executable)
    script = venv / "pip"
    script.write_text(f"#!{venv}/python\n")
    script.chmod(0o755)
    path = {"PATH": f"{venv}:{os.defpath}"}
    assert find_python(("pip", "install"), path, tmp_path) == venv / "python"
    assert find_python(("python", "setup.py"), path, tmp_path) == venv / "python"
    active = {"PATH": os.defpath, "VIRTUAL_ENV": str(venv.parent)}
    assert find_python(("uv", "pip", "install"), active, tmp_path) == venv / "python"
    named = ("uv", "pip", "install", "--python", str(venv.parent))
    assert find_python(named, {"PATH": os.defpath}, tmp_path) == venv / "python"


def test_roots_inside_others_are_not_named_twice(tmp_path: Path) -> None:
    (tmp_path / "real/in").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    roots = [str(tmp_path / name) for name in ("real/in", "link", "real")]
    assert normal_roots(roots) == (str(tmp_path / "real"),)
    assert normal_roots(["/usr", "/"]) == ("/",)
    with pytest.raises(UsageError):
        normal_roots(["relative"])


def test_names_of_variables_with_secrets_do_not_count() -> None:
    assert environment_ingredient({"PIP_PASSWORD": "x"}) == environment_ingredient({})


def test_the_class_of_a_processor_is_told_by_its_flags() -> None:
    base = "flags\t\t: sse4_2 ssse3 popcnt cx16"
    assert cpu_class(base) == "x86-64-v2"
    assert cpu_class(f"{base} avx2 bmi1 bmi2 fma movbe") == "x86-64-v3"
    assert cpu_class("") not in {"x86-64-v2", "x86-64-v3", "x86-64-v4"}


def test_a_key_is_what_the_document_says() -> None:
    one = ingredient("command", ["pip", "install"])
    assert one.digest == hashlib.sha256(b"pip\0install").hexdigest()
    listed = f'[["command","{one.digest}"]]'
    assert key_of([one]) == hashlib.sha256(listed.encode()).hexdigest()


@pytest.mark.parametrize(("roots", "counts"), [("/", True), ("/etc", True), ("/opt", False)])
def test_users_count_where_the_roots_cover_them(tmp_path: Path, roots: str, counts: bool) -> None:
    """Or a step that adds one would take away those that another node has."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    before = account_ingredients([roots], tmp_path)
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/:/bin/sh\n")
    after = account_ingredients([roots], tmp_path)
    assert (before != after) == counts
    assert [one.detail for one in after] == ([("root", "me")] if counts else [])
