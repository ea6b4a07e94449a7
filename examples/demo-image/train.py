"""One training step on the processor: the smallest honest stand-in for the start of a training job.

Prints a line per event, `<seconds since the epoch> <event>`, flushed at once, so that whoever
started the container can say how long each part of the start took.
"""

import time


def say(event: str) -> None:
    """Print one event with the wall clock in seconds."""
    print(f"{time.time():.3f} {event}", flush=True)


def main() -> None:
    """Import what a job imports, train for one step, say what happened when."""
    say("first output")
    import numpy as np  # noqa: PLC0415 - the imports are what is being timed
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    say(f"imported numpy {np.__version__} torch {torch.__version__.split('+')[0]}")
    torch.manual_seed(7)
    random = np.random.default_rng(7)
    inputs = torch.from_numpy(random.standard_normal((256, 64), dtype=np.float32))
    targets = inputs.sum(dim=1, keepdim=True)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = nn.functional.mse_loss(model(inputs), targets)
    loss.backward()
    optimizer.step()
    say(f"loss {loss.item():.4f}")
    say("work done")


if __name__ == "__main__":
    main()
