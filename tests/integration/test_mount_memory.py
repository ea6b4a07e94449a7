"""A mount's memory, whatever the load: the cache that is configured, and 150 MB."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkpoint_mount import Mount, checkpoint_mount

pytestmark = pytest.mark.containers

CACHE_MB = 64
CONFIG = f"""\
log: {{{{level: info}}}}
hdfs:
  stripe_unit: 1MiB
  stripe_count: 8
  small: 1MiB
  cache: {CACHE_MB}MiB
  ahead: 32MiB
  spool: {{spool}}
"""
DATA = random.Random(21).randbytes(40 << 20)
WORKERS = 12


def most_resident(mount: Mount) -> float:
    """Return the most memory that a mount has had, in MB."""
    assert mount.process is not None
    status = Path(f"/proc/{mount.process.pid}/status").read_text()
    return next(int(row.split()[1]) for row in status.splitlines() if "VmHWM" in row) / 1000


def test_more_than_a_hundred_writers_at_once_take_no_more_either(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    text = "log: {{level: info}}\nhdfs: {{cache: 256MiB, spool: {spool}}}\n"
    writers, half = 120, 3 << 20
    all_begun = threading.Barrier(writers)
    with checkpoint_mount(f"file://{tmp_path / 'store'}", tmp_path, text) as mount:

        def work(number: int) -> None:
            with (mount.path / f"file{number}").open("wb", 0) as file:
                file.write(DATA[number : number + half])
                all_begun.wait(120)
                file.write(DATA[number + half : number + 2 * half])

        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(work, range(writers)))
        assert most_resident(mount) < 256 + 150
        for number in range(writers):
            found = (mount.path / f"file{number}").read_bytes()
            assert found == DATA[number : number + 2 * half]


def test_many_writers_and_readers_take_no_more_than_is_configured(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    address = f"file://{tmp_path / 'store'}"
    with checkpoint_mount(address, tmp_path, CONFIG) as mount:
        (mount.path / "read").write_bytes(DATA)
        for number in range(100):
            (mount.path / f"small{number}").write_bytes(DATA[:1_000_000])
        small = [(mount.path / f"small{number}").open("rb") for number in range(100)]

        def work(number: int) -> bool:
            path = mount.path / f"written{number}"
            path.write_bytes(DATA)
            with (mount.path / "read").open("rb", 0) as file:
                read = b"".join(iter(lambda: file.read(1 << 20), b""))
            return read == DATA == path.read_bytes()

        with ThreadPoolExecutor(WORKERS) as pool:
            assert all(pool.map(work, range(WORKERS)))
        for one in small:
            assert one.read(1000) == DATA[:1000]
            one.close()
        assert most_resident(mount) < CACHE_MB + 150
