"""`bootseer image` and the frame around all commands, against a real registry."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from bootseer.cli import main as frame
from bootseer.cli.main import NOUNS, cli, run
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference
from tests.image_maker import MadeImage, file_member, layer_of, push_image
from tests.registry_fixture import RunningRegistry, registry

__all__ = ["registry"]


def push(reference: str) -> MadeImage:
    layers = [
        layer_of({"etc/motd": b"hello\n" * 1000, "bin/a\x1b[31m": b"x"}),
        layer_of([file_member("link", type=b"2", linkname="etc/motd"), file_member(".wh.gone")]),
    ]

    async def pushed() -> MadeImage:
        async with RegistryClient() as client:
            return await push_image(client, parse_reference(reference), layers)

    return asyncio.run(pushed())


@pytest.fixture(scope="module")
def image(registry: RunningRegistry) -> tuple[str, MadeImage]:
    reference = f"{registry.host}/cli/image:1"
    return reference, push(reference)


def test_index_then_inspect(
    image: tuple[str, MadeImage], capsys: pytest.CaptureFixture[str]
) -> None:
    reference, made = image
    platform = ["--platform", "linux/amd64"]
    assert run(["image", "inspect", reference, "--json", *platform]) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["artifact"] is None
    assert [layer["indexed"] for layer in before["layers"]] == [False, False]
    assert run(["image", "index", reference, "--json", *platform]) == 0
    captured = capsys.readouterr()
    done = json.loads(captured.out)
    assert captured.err == ""  # no progress where nobody watches
    assert done["manifest"] == made.digest
    assert done["published"]
    assert run(["--json", "image", "inspect", reference, "--files", *platform]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["artifact"] == done["artifact"]
    assert [layer["digest"] for layer in after["layers"]] == [one.digest for one in made.layers]
    assert all(layer["indexed"] and layer["chunks"] >= 1 for layer in after["layers"])
    paths = {(entry["layer"], entry["path"]): entry for entry in after["files"]}
    assert paths[0, "etc/motd"]["size"] == 6000
    assert paths[1, "link"]["target"] == "etc/motd"
    assert paths[1, "gone"]["whiteout"]


def test_people_get_a_table_and_no_control_sequences(
    image: tuple[str, MadeImage], capsys: pytest.CaptureFixture[str]
) -> None:
    reference, _ = image
    assert run(["image", "index", reference, "--again"]) == 0
    assert "published" in capsys.readouterr().out
    assert run(["image", "inspect", reference, "--files"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 2 layers indexed" in shown
    assert "link -> etc/motd" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("arguments", "code", "family"),
    [
        (["image", "inspect", "UPPER"], 2, "UsageError"),
        (["image", "inspect", "a", "--platform", "x"], 2, "UsageError"),
        (["image", "inspect", "a", "--config", "/none.yaml"], 2, "UsageError"),
        (["image", "inspect"], 2, "UsageError"),
        (["image", "nonsense"], 2, "UsageError"),
        (["nonsense"], 2, "UsageError"),
        (["image", "inspect", "{host}/none"], 3, "NotFoundError"),
        (["image", "inspect", "127.0.0.1:1/a"], 4, "RemoteError"),
    ],
)
def test_error_families_have_their_exit_codes(
    registry: RunningRegistry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    family: str,
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    arguments = [text.format(host=registry.host) for text in arguments]
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error" in captured.err.lower()
    assert "Traceback" not in captured.err
    assert run([*arguments, "--json"]) == code
    assert json.loads(capsys.readouterr().err)["error"] == family


def test_a_bug_is_shown_with_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bootseer.cli.image.load_config", broken)
    assert run(["image", "inspect", "a"]) == frame.BUG
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "bug in bootseer" in shown


def test_starting_imports_no_noun() -> None:
    code = (
        "import sys; from bootseer.cli.main import run; run(['--help']);"
        "print([m for m in sys.modules if m.startswith(('bootseer.cli.', 'snapshotter', 'aiohttp',"
        " 'numpy', 'rich'))], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['bootseer.cli.lazy', 'bootseer.cli.main']"
    assert all(name in done.stdout for name in NOUNS)


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_every_noun_can_be_had_and_says_what_its_table_says(noun: str) -> None:
    command = cli.get_command(None, noun)  # type: ignore[arg-type]
    assert command is not None
    assert command.name == noun
    assert command.get_short_help_str(200) == NOUNS[noun].summary


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["completion", shell]) == 0
    assert "_BOOTSEER_COMPLETE" in capsys.readouterr().out


def test_output_that_nobody_reads_ends_the_command_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "bootseer", "completion", "zsh"]
    try:
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
