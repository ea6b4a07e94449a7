"""`torch.load` of a checkpoint, from a striped file and from a plain one."""

import statistics
import subprocess
from typing import Final

from benchmarks.figures import Figure
from benchmarks.images.torch_root import entered
from benchmarks.measure.hdfs_place import HdfsPlace
from bootseer.errors import HostError

_GOAL: Final = 5.0
_TENSORS: Final = 16
_S: Final = 600.0
_SAVE: Final = """
import sys, torch
path, size = sys.argv[1], int(sys.argv[2])
each = size // 4 // {tensors}
tensors = {{f"t{{n}}": torch.arange(each, dtype=torch.float32) + n for n in range({tensors})}}
torch.save(tensors, path)
"""
_LOAD: Final = """
import sys, time, torch
start = time.monotonic()
found = torch.load(sys.argv[1])
took = time.monotonic() - start
each = int(sys.argv[2]) // 4 // {tensors}
for n in range({tensors}):
    assert torch.equal(found[f"t{{n}}"], torch.arange(each, dtype=torch.float32) + n)
print(took)
"""


def measure(place: HdfsPlace) -> list[Figure]:
    """Save a checkpoint once in each way, and load it."""
    striped, plain = [], []
    for stripes, name in ((place.nodes, "striped.pt"), (1, "plain.pt")):
        _torch(place, stripes, _SAVE, name)
    for _ in range(place.runs):
        striped.append(float(_torch(place, place.nodes, _LOAD, "striped.pt")))
        plain.append(float(_torch(place, 1, _LOAD, "plain.pt")))
    with place.mount() as mount:
        for name in ("striped.pt", "plain.pt"):
            (mount.path / name).unlink()
    ours, theirs = statistics.median(striped), statistics.median(plain)
    mib = place.size >> 20
    return [
        Figure(f"torch.load of {mib} MiB, striped", ours, "s"),
        Figure(f"torch.load of {mib} MiB, plain file", theirs, "s"),
        Figure("torch.load, plain against striped", theirs / ours, "x", _GOAL, "higher"),
    ]


def _torch(place: HdfsPlace, stripes: int, program: str, name: str) -> str:
    with place.mount(stripes=stripes) as mount:
        enter = entered([mount.path])
        words = ["python3", "-c", program.format(tensors=_TENSORS), str(mount.path / name)]
        done = subprocess.run(
            [*enter, *words, str(place.size)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_S,
        )
        if done.returncode:
            raise HostError(f"torch failed: {done.stderr[-500:]}")
        return done.stdout
