"""What runs in the container: packages are installed, imported, and the training begins.

It is given to containers as a file, and stands alone: the standard library, and `bootseer.stage`
from where its settings (JSON, the first argument) say. Paths in the settings are the container's.

    install   command that installs the packages
    modules   what the job imports of them
    command   module that trains, and its arguments
    client    directory in which the package `bootseer` is
"""

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Install in a process that is replaced afterwards: it has not seen the directories yet."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.path.append(settings["client"])
    from bootseer import stage  # noqa: PLC0415 (it is there from now on)

    if len(sys.argv) == 2:
        from bootseer.events.sink import rest_all  # noqa: PLC0415 (likewise)

        with stage("environment"):
            subprocess.run(settings["install"], check=True)
        rest_all()  # what this process has told is written before it is another
        os.execv(sys.executable, [sys.executable, __file__, sys.argv[1], "train"])
    with stage("packages"):
        for name in settings["modules"]:
            importlib.import_module(name)
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = settings["command"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
