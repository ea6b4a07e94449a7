"""IDPL: dynamic pseudo labels, the split into subdomains, and their alignment class by class."""

import torch

from idpl.align.subdomain import SubdomainAlignment
from idpl.data.batches import generator, halves_indexes
from idpl.methods.labellers import Dynamic, Labeller
from idpl.methods.method import Method, Survey, View
from idpl.methods.self_training import label_loss
from idpl.schedule import rising
from idpl.subdomains import Subdomains, difficulty
from idpl.together import Together

_BY_CHANCE = 7  # the stream of random numbers of the split that is none


class Idpl(Method):
    """See the module. Without `alignment` it is self-training on dynamic labels.

    `by_chance` splits the target at random, to see what the split is worth.
    """

    def __init__(
        self,
        labeller: Labeller,
        judge: Dynamic,
        alignment: SubdomainAlignment | None,
        self_training: float,
        adversarial: float,
        easy_part: float,
        *,
        by_chance: bool,
        count: int,
        batch: int,
        seed: int,
        rescore_every: int,
    ) -> None:
        super().__init__(count=count, batch=batch, seed=seed, rescore_every=rescore_every)
        self.labeller, self.alignment = labeller, alignment
        self.judge = judge
        """Knows the classes' thresholds, by which pictures are judged; often the labeller."""
        self.self_training, self.adversarial = self_training, adversarial
        self.by_chance = by_chance
        self.subdomains = Subdomains(count, easy_part)

    def target_indexes(self, step: int) -> list[int]:
        """Return easy and difficult pictures, half and half."""
        return halves_indexes(self.subdomains.easy(), self.batch, self.seed, step)

    def survey(self, seen: Survey, together: Together) -> None:
        """Judge every target picture anew."""
        if self.by_chance:
            chance = generator(self.seed, _BY_CHANCE).random(self.count)
            self.subdomains.put(torch.from_numpy(chance))
            return
        thresholds = self.judge.thresholds
        looked = [(indexes, thresholds.look(found)) for indexes, found in seen()]
        if not bool(thresholds.seen.any()):
            every = [one for _, pictures in looked for one in pictures]
            thresholds.move(together.summed(thresholds.sums(every)))
        scores = torch.zeros(self.count, dtype=torch.float64)
        for indexes, pictures in looked:
            judged = [difficulty(one, thresholds.value) for one in pictures]
            scores[indexes] = torch.tensor(judged, dtype=torch.float64)
        self.subdomains.put(together.summed(scores))

    def losses(self, view: View) -> dict[str, torch.Tensor]:
        """Return the loss on pseudo labels and that of the discriminators."""
        probabilities = view.teacher(view.target.plain)
        labels = self.labeller.label(probabilities, view.together).labels
        if self.judge is not self.labeller:
            self.judge.label(probabilities, view.together)
        labels, probabilities = view.flip(labels), view.flip(probabilities)
        output = view.student(view.target.changed)
        loss = label_loss(output.scores, labels)
        losses = {"pseudo": self.self_training * loss}
        if self.alignment is not None:
            kinds = self.subdomains.easy()
            easy = torch.tensor([kinds[index] for index in view.target.indexes])
            losses["adversarial"] = self.alignment(
                output.features,
                probabilities,
                labels,
                easy.to(labels.device),
                self.adversarial * rising(view.progress),
            )
        return losses

    def curve(self) -> dict[str, float]:
        """Return the classes' thresholds, by number."""
        values = self.judge.thresholds.value.tolist()
        return {f"threshold/{number}": value for number, value in enumerate(values)}
