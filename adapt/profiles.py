"""What one fine-tuning does: the paper's recipe to the letter, the one that measures best, and rows for ablations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import SemihandError
from ..models.circles import LAYOUTS, CrossModalConfig
from ..models.joints import WRIST
from ..train.augment import AugmentConfig
from ..train.losses import PAPER_LOSS, LossConfig
from .labels.pseudo import LabelConfig
from .labels.readings import ReadingConfig
from .views import ViewConfig

#: Jitter of A beside its geometry: strengths of the paper's kinds of change.
PAPER_COLOUR = AugmentConfig(gain=0.15, brightness=0.25, contrast=(0.5, 1.5), grey=0.2, erase=0.5)


@dataclass(frozen=True)
class FinetuneConfig:
    """One fine-tuning.

    iterations: K, each a pass over the unlabelled crops, or `steps` steps whatever their number. rate, late_rate:
    Adam's, the late one from iteration `late_from` on. batch: pictures of each kind, labelled and not. thaw: first layer
    of a landmark encoder that is trained; those before it stay as they are (47: all of them). readings: pseudo-labels
    come from many looks, see `readings`, instead of `labels`; only crops that another teacher has no label of are read.
    pseudo_weight,
    view_weight, circles_weight, teacher_weight: of the unlabelled losses against the supervised one (λ_c for the
    consistency terms). teacher_depth: the other teacher's depth counts, not only its places in the picture.
    ungated_registered: Eq. (6)'s second term trains every picture on its registered pose; without it a sure picture
    learns its label alone. labelled_consistency: the consistency terms on synthetic pictures too. perturb_colour: T
    changes colours as A does. fixed_masks: in other views the mask learns the source's own mask of the plain crop; two
    live masks that only have to agree lose their fingers under wide views. teacher_mean: decay of the averaged network
    that makes the labels and is the result; 0: the trained network itself. through_norm: real pictures take part in the
    batch statistics even where no loss looks at them. circle_layout, circles: see `models.circles`.
    """

    profile: str
    iterations: int = 10
    steps: int | None = None
    rate: float = 1e-4
    late_rate: float = 1e-5
    late_from: int = 5
    batch: int = 64
    thaw: int = 47
    loss: LossConfig = PAPER_LOSS
    labels: LabelConfig = LabelConfig()
    readings: ReadingConfig | None = None
    views: ViewConfig = ViewConfig()
    colour: AugmentConfig = PAPER_COLOUR
    pseudo_weight: float = 1.0
    view_weight: float = 0.1
    circles_weight: float = 0.1
    teacher_weight: float = 0.0
    teacher_depth: bool = True
    ungated_registered: bool = True
    labelled_consistency: bool = True
    perturb_colour: bool = False
    fixed_masks: bool = False
    teacher_mean: float = 0.0
    through_norm: bool = True
    circle_layout: str = "paper"
    circles: CrossModalConfig = CrossModalConfig()
    seed: int = 0

    def __post_init__(self):
        if self.circle_layout not in LAYOUTS:
            raise SemihandError(f"Circle layout {self.circle_layout!r} is unknown: {', '.join(LAYOUTS)}.")
        if self.iterations < 1 or self.batch < 2 or self.thaw < 0:
            raise SemihandError(f"A fine-tuning needs iterations, a batch of at least 2 and thaw >= 0, not {self}.")

    @property
    def uses_unlabelled(self) -> bool:
        """Whether the user's pictures take part at all, if only in the batch statistics."""
        losses = self.pseudo_weight, self.view_weight, self.circles_weight, self.teacher_weight
        return self.through_norm or any(losses)

    def weight(self, name: str) -> float:
        """Factor of a loss: the unlabelled ones share the pose's own factor, so that all pose terms are alike."""
        if name == "supervised":
            return 1.0
        factors = {"unsupervised": self.pseudo_weight, "view": self.view_weight, "circles": self.circles_weight,
                   "teacher": self.teacher_weight}  # fmt: skip
        return factors[name] * self.loss.pose_weight

    def with_teacher(self) -> FinetuneConfig:
        """The same with another teacher's labels beside its own terms."""
        return replace(self, teacher_weight=1.0)

    def for_crop(self, crop_factor: float) -> FinetuneConfig:
        """The paper's constants for crops of this factor instead of 2: the same error is 2 / factor as many pixels.

        λ_d of squared losses stays isotropic, τ means the same on the hand. Absolute losses are left as they are: they
        are those that the released network was pre-trained with, on its own crops.
        """
        grown = (2.0 / crop_factor) ** 2
        labels = replace(self.labels, tau=self.labels.tau * grown, depth_weight=self.labels.depth_weight * grown)
        if self.loss.pose != "squared":
            return replace(self, labels=labels)
        return replace(self, labels=labels, loss=replace(self.loss, depth_weight=self.loss.depth_weight * grown))

    def learning_rate(self, iteration: int) -> float:
        """Rate of iteration t = 1..K."""
        return self.rate if iteration < self.late_from else self.late_rate


PAPER = FinetuneConfig("paper")

#: Chosen by measurements on pictures whose labels only measured; BENCHMARKS.md tells what was tried. Deviations from the
#: paper: consistency is learned between wide, recoloured views and weighs as much as the labelled half, at five times the
#: rate, pseudo-labels are readings of many looks instead of registered answers, and the averaged network is the result.
#: Circles have weight 0: their pull toward the mask's outline changes the errors less than the seed does.
ROBUST = FinetuneConfig(
    "robust",
    steps=12,
    rate=5e-4,
    late_rate=5e-5,
    late_from=8,
    batch=24,
    loss=LossConfig(),
    labels=LabelConfig(gate="quantile", share=0.7, register=False),
    readings=ReadingConfig(),
    views=ViewConfig(kinds=("mixed",), turn=30.0),
    colour=AugmentConfig(),
    pseudo_weight=3.0,
    view_weight=1.0,
    circles_weight=0.0,
    ungated_registered=False,
    labelled_consistency=False,
    perturb_colour=True,
    fixed_masks=True,
    teacher_mean=0.98,
    circle_layout="fitted",
    circles=CrossModalConfig(stride=2, skip_below_iou=0.5, free_joints=(WRIST,)),
)

PROFILES = {"paper": PAPER, "robust": ROBUST}


def named_profile(name: str, **changes) -> FinetuneConfig:
    """A profile with some values changed. Raises SemihandError on an unknown name."""
    if name not in PROFILES:
        raise SemihandError(f"Profile {name!r} is unknown: {', '.join(PROFILES)}.")
    return replace(PROFILES[name], **changes)
