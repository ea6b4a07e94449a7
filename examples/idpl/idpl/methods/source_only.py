"""No adaptation: what every other method is measured against."""

import torch

from idpl.methods.method import Method, View


class SourceOnly(Method):
    """Trains on the source for all of the steps."""

    uses_target = False

    def losses(self, view: View) -> dict[str, torch.Tensor]:
        """Return none."""
        return {}
