"""A mount's memory, whatever the load: the cache that is configured, and 150 MB."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkpoint_mount import checkpoint_mount

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
        assert mount.process is not None
        status = Path(f"/proc/{mount.process.pid}/status").read_text()
        most = next(int(row.split()[1]) for row in status.splitlines() if "VmHWM" in row)
    assert most / 1000 < CACHE_MB + 150
