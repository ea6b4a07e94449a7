"""The training of the light job, given to its container: a checkpoint, and one step.

Stands alone there: NumPy and `bootseer.stage`.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

import bootseer


def main() -> None:
    """Load, step, say so, and stay until killed, as a training would."""
    out = Path(sys.argv[1])
    with bootseer.stage("checkpoint_load"):
        data = (out / "checkpoints" / "step-1" / "tensors").read_bytes()
        weights = np.frombuffer(data, np.uint8).reshape(-1, 1024)
    with bootseer.stage("first_step"):
        loss = float(np.square(weights[:2048].astype(np.float64)).sum()) + float(
            weights[::97].sum()
        )
    (out / "metrics.jsonl").write_text(json.dumps({"step": 2, "loss": loss}) + "\n")
    print(f"{time.time():.3f} first_step done", file=sys.stderr, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
