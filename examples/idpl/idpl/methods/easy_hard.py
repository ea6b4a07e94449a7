"""As IntraDA: first source against target, then the target's easy half against its difficult one.

In the first half of the adaptation this is the entropy-adversarial method. Then the target is
ranked, once, by the mean entropy of its pictures; the easy half is trained on its own predictions
and is what the difficult half shall look like.
"""

import torch

from idpl.align.discriminators import MapDiscriminator
from idpl.align.entropy import entropy
from idpl.data.batches import halves_indexes
from idpl.methods.entropy_adversarial import told_apart
from idpl.methods.method import Method, Survey, View
from idpl.methods.self_training import label_loss
from idpl.schedule import rising
from idpl.subdomains import split
from idpl.together import Together


class EasyHard(Method):
    """See the module. `switch` is the step of adaptation at which the second half begins."""

    scores: torch.Tensor
    ranked: torch.Tensor

    def __init__(
        self,
        classes: int,
        adversarial: float,
        self_training: float,
        easy_part: float,
        switch: int,
        *,
        count: int,
        batch: int,
        seed: int,
    ) -> None:
        super().__init__(count=count, batch=batch, seed=seed)
        self.adversarial, self.self_training = adversarial, self_training
        self.easy_part, self.switch = easy_part, switch
        self.between = MapDiscriminator(classes)
        self.within = MapDiscriminator(classes)
        self.register_buffer("scores", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("ranked", torch.zeros((), dtype=torch.bool))

    def _easy(self) -> list[bool]:
        return split(self.scores, self.easy_part)

    def target_indexes(self, step: int) -> list[int]:
        """Return both kinds once they are known."""
        if not bool(self.ranked):
            return super().target_indexes(step)
        return halves_indexes(self._easy(), self.batch, self.seed, step)

    def wants_survey(self, adapted: int) -> bool:
        """Return whether it is time to rank."""
        return adapted == self.switch

    def survey(self, seen: Survey, together: Together) -> None:
        """Rank the target by entropy."""
        scores = torch.zeros(self.count, dtype=torch.float64)
        for indexes, probabilities in seen():
            scores[indexes] = entropy(probabilities).mean(dim=(1, 2)).double().cpu()
        self.scores.copy_(together.summed(scores))
        self.ranked.fill_(True)

    def losses(self, view: View) -> dict[str, torch.Tensor]:
        """Return the losses of the half that this step is in."""
        output = view.student(view.target.changed)
        strength = self.adversarial * rising(view.progress)
        if not bool(self.ranked):
            source = view.source_output.scores
            return {"adversarial": told_apart(self.between, source, output.scores, strength)}
        kinds = self._easy()
        easy = torch.tensor([kinds[index] for index in view.target.indexes])
        # Named also where there is nothing to lose: processes add their losses up by name.
        nothing = output.scores.sum() * 0
        losses = {"pseudo": nothing, "adversarial": nothing}
        if bool(easy.any()):
            labels = view.flip(view.teacher(view.target.plain)).argmax(1)[easy]
            losses["pseudo"] = self.self_training * label_loss(output.scores[easy], labels)
        if bool(easy.any()) and not bool(easy.all()):
            losses["adversarial"] = told_apart(
                self.within, output.scores[easy], output.scores[~easy], strength
            )
        return losses
