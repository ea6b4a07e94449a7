"""Hadoop's jars, for a small HDFS in tests: fetched by Maven, each compared with its hash.

`python -m tooling.hadoop --lock` writes the hashes anew, after a change of `hadoop.xml`.
"""

import argparse
import hashlib
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Final

from tooling.locking import only_one
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import doing, say
from tooling.running import SetupError, run_logged

POM: Final = REPOSITORY / "requirements" / "hadoop.xml"
LOCK: Final = REPOSITORY / "requirements" / "hadoop.sha256"
_PLUGIN: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_WEBAPPS: Final = ("", "hdfs/", "datanode/", "secondary/")


def ensure() -> Path:
    """Return the directory with the jars, fetched first where it is not there (half a minute).

    Raises `SetupError`.
    """
    name = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    place = cache_dir() / f"hadoop-{name}"
    with only_one(cache_dir() / "hadoop.lock"):
        if not place.is_dir():
            _fetch(place, parse_lock(LOCK.read_text()))
    return place


def parse_lock(text: str) -> dict[str, str]:
    """Return file name -> SHA-256 of a lock file, which `sha256sum -c` understands too."""
    rows = (line.split() for line in text.splitlines())
    return {name: digest for digest, name in rows}


def _fetch(place: Path, hashes: dict[str, str] | None) -> None:
    """Let Maven resolve the jars; they become `place` if they are the locked ones."""
    work = place.with_name(f"{place.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    jars = work / "jars"
    argv = [
        "mvn",
        "-q",
        "-B",
        f"-Dmaven.repo.local={work / 'repository'}",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={jars}",
        "-f",
        str(POM),
        _PLUGIN,
    ]
    try:
        with doing("fetching Hadoop's jars (65 MB, once)"):
            log = cache_dir() / "logs" / "hadoop.log"
            run_logged(argv, log, what="fetching Hadoop's jars")
        if hashes is not None and (found := _hashes(jars)) != hashes:
            differ = sorted(name for name, _ in found.items() ^ hashes.items())
            raise SetupError(f"Hadoop's jars are not the locked ones: {', '.join(differ[:5])}")
        _add_webapps(jars / "webapps.jar")
        jars.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _hashes(jars: Path) -> dict[str, str]:
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.glob("*.jar")}


def _add_webapps(jar: Path) -> None:
    """The daemons insist on these directories, which the jars lack."""
    with zipfile.ZipFile(jar, "w") as file:
        for name in _WEBAPPS:
            file.writestr(f"webapps/{name}", "")


def main() -> int:
    """Fetch the jars, or write their hashes."""
    parser = argparse.ArgumentParser(prog="python -m tooling.hadoop", description=__doc__)
    parser.add_argument("--lock", action="store_true", help="write hadoop.sha256 anew")
    try:
        if parser.parse_args().lock:
            place = cache_dir() / "hadoop-unlocked"
            shutil.rmtree(place, ignore_errors=True)
            _fetch(place, None)
            (place / "webapps.jar").unlink()
            rows = sorted((name, digest) for name, digest in _hashes(place).items())
            LOCK.write_text("".join(f"{digest}  {name}\n" for name, digest in rows))
        else:
            say(str(ensure()))
    except SetupError as error:
        say(f"error: {error}")
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
