"""What images are made of."""

import subprocess
import sys
from pathlib import Path

from benchmarks.images import demo, idpl


def test_the_image_of_idpl_has_all_that_the_job_imports(tmp_path: Path) -> None:
    recipe = idpl.recipe()
    root = tmp_path / recipe.directory.lstrip("/")
    for place, file in recipe.files.items():
        assert place.startswith(recipe.directory.lstrip("/"))
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(file.read_bytes())
    words = [sys.executable, *recipe.command[1:3], "sheet", str(tmp_path / "sheet.png")]
    subprocess.run([*words, "--rows", "1"], cwd=root, check=True)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_what_a_job_installs_when_it_starts_is_pinned() -> None:
    lines = (Path(idpl.REPOSITORY) / "examples/idpl/requirements.txt").read_text().splitlines()
    wanted = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert len(wanted) >= 12
    assert all("==" in line for line in wanted)


def test_files_of_an_image_are_there() -> None:
    for recipe in (demo.RECIPE, idpl.recipe()):
        assert recipe.files
        assert all(file.is_file() for file in recipe.files.values())
