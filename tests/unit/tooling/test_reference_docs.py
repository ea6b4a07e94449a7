import pytest

from tooling.reference import PLACE, main, pages


def test_the_reference_says_what_the_code_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_every_command_and_setting_is_in_it() -> None:
    text = pages()
    for words in ("snapshotter serve", "image index", "hot show", "deps run", "hdfs mount"):
        assert f"\n## `bootseer {words}`\n" in text[PLACE / "cli.md"]
    for setting in ("root", "hot.window", "hdfs.rules[].match", "deps.store"):
        assert f"\n| `{setting}` | " in text[PLACE / "configuration.md"]
    assert (
        "| `hdfs.stripe_unit` | size, 4KiB to 64MiB | `4MiB` |" in text[PLACE / "configuration.md"]
    )
