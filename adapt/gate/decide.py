"""The gate: is the fine-tuned network better on frames that it has not learned from? Decided without labels.

`evaluate.gate_study` measured which indicators tell true changes, and the rule follows from it. The distance to the
landmark model tells most. Consistency between views improves in bad runs too, as it is trained on; bones that change
their length and errors on rendered hands that grow give those away. Overlap of pose and mask is left out: it rises and
falls against the truth, depending on which losses were used. Every term compares a crop with itself before and after,
so that hard crops don't outweigh easy ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...errors import SemihandError
from ..frames.crops import CropSet
from .indicators import Indicators

#: Crops left out of training at both ends of a held-out block that is cut out of one take.
GAP = 3
#: Blocks that are cut out of a recording without takes.
PARTS = 4
#: Whole takes are held out where they make up this share of what was asked for, at least and at most.
TAKES = (0.6, 1.6)


@dataclass(frozen=True)
class GateConfig:
    """The rule.

    weights: of the terms, each the mean log ratio before over after (a positive one is better). floors: added to both
    sides of a ratio, so that what is next to nothing can't decide. rendered: weight of the same ratio of the mean errors
    on rendered hands. level: share of bootstrap samples in which the
    score must be above `margin`. least_spread, least_diversity: of those before; least_diversity_nearer: where the new
    network is nearer to the landmark model on most crops, as none is that gives every frame the same pose.
    most_forgotten: log ratio by which the error on rendered pictures may grow. least_seen: share of crops that must show
    a hand. least_poses: diversity of the recording over that of rendered hands.
    """

    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    floors: dict[str, float] = field(default_factory=lambda: dict(FLOORS))
    rendered: float = 1.0
    margin: float = 0.01
    level: float = 0.95
    samples: int = 2000
    least_spread: float = 0.85
    least_diversity: float = 0.75
    least_diversity_nearer: float = 0.5
    most_forgotten: float = 0.25
    least_seen: float = 0.5
    least_poses: float = 0.2
    least_crops: int = 10

    def __post_init__(self):
        if set(self.weights) - set(self.floors) or not self.weights or min(self.weights.values()) < 0:
            raise SemihandError(
                f"The gate needs terms with weights of at least 0 and a floor each, not {self.weights}."
            )
        if not 0.5 <= self.level < 1 or self.samples < 100:
            raise SemihandError(f"The gate's level {self.level} must lie in [0.5, 1), and samples be at least 100.")


WEIGHTS = {
    "detector_agreement": 1.0,
    "view_consistency": 0.5,
    "turn_consistency": 0.5,
    "bone_deviation": 1.0,
    "jitter": 0.5,
}
FLOORS = {
    "detector_agreement": 0.01,
    "view_consistency": 0.3,
    "turn_consistency": 0.3,
    "bone_deviation": 0.01,
    "jitter": 0.002,
}


@dataclass(frozen=True)
class Decision:
    """accepted: install the new network. reason: one sentence for the user. score: mean log improvement, terms: its parts
    and what the vetoes looked at."""

    accepted: bool
    reason: str
    score: float
    terms: dict[str, float]


def decide(before: Indicators, after: Indicators, config: GateConfig = GateConfig()) -> Decision:
    """Accept only where the indicators together are better beyond chance and no veto speaks.

    before, after: of the same crops, in the same order.
    """
    if len(before) != len(after):
        raise ValueError(f"Before and after are of {len(before)} and {len(after)} crops; they must be of the same.")
    gains = crop_gains(before, after, config)
    score, low = _score(gains, before, after, config)
    terms = {name: _mean(values) for name, values in gains.items()} | _watched(before, after) | {"score_low": low}
    terms["nearer"] = float((gains.get("detector_agreement", np.zeros(0)) > config.margin).sum() / max(1, len(before)))
    reason = _unfit(before, config) or _veto(terms, config)
    if reason is None and not low > config.margin:
        reason = _not_better(score, config)
    terms = {name: value for name, value in terms.items() if np.isfinite(value)}
    if reason:
        return Decision(False, reason, score if np.isfinite(score) else 0.0, terms)
    return Decision(True, _better(before, after), score, terms)


def crop_gains(before: Indicators, after: Indicators, config: GateConfig) -> dict[str, np.ndarray]:
    """Each term's log ratio before over after, (N,), NaN where either is missing; terms without any value are left out."""
    gains = {}
    for name in config.weights:
        floor = config.floors[name]
        values = np.log((cost(before, name) + floor) / (cost(after, name) + floor))
        if np.isfinite(values).any():
            gains[name] = values
    return gains


def cost(indicators: Indicators, name: str) -> np.ndarray:
    """(N,) a term's cost of each crop, low is good."""
    values = indicators.per_crop[name]
    return 1 - values if name.endswith("iou") else values


def _score(gains, before: Indicators, after: Indicators, config: GateConfig) -> tuple[float, float]:
    """The weighted mean of the terms, and its lower end over bootstrap samples of whole blocks and of rendered pictures."""
    if not gains:
        return float("nan"), float("nan")
    values = np.stack(list(gains.values()))  # (terms, N)
    weights = np.array([config.weights[name] for name in gains])
    sums, counts = (
        _per_block(np.nan_to_num(values), before.block),
        _per_block(np.isfinite(values).astype(float), before.block),
    )
    everything, samples = _draws(len(sums), config.samples, 0)
    rendered = config.rendered if len(before.synthetic) and len(after.synthetic) else 0.0

    def scores(drawn: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        total = (drawn @ sums / np.maximum(drawn @ counts, 1)) @ weights
        if rendered:
            total = total + rendered * np.log((pictures @ before.synthetic) / (pictures @ after.synthetic))
        return total / (weights.sum() + rendered)

    every_picture, some_pictures = _draws(len(before.synthetic), config.samples, 1)
    low = np.quantile(scores(samples, some_pictures), 1 - config.level)
    return float(scores(everything, every_picture)[0]), float(low)


def _draws(count: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each of `count` things is taken: once (1, count), and in bootstrap samples (samples, count)."""
    if not count:
        return np.zeros((1, 0)), np.zeros((samples, 0))
    return np.ones((1, count)), np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=samples)


def _per_block(values: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Sums (B, terms) of values (terms, N) over blocks (N,)."""
    return np.stack([values[:, block == number].sum(1) for number in np.unique(block)])


def _watched(before: Indicators, after: Indicators) -> dict[str, float]:
    """What the vetoes look at. A network that sees the wrong fingers differs more from frame to frame than the hand does:
    the poses need not vary more than those of the landmark model."""
    usual = min(before.whole["diversity"], before.whole.get("marks_diversity", np.inf))
    found = {
        "spread_kept": _mean(after.per_crop["spread"]) / max(_mean(before.per_crop["spread"]), 1e-6),
        "diversity_kept": after.whole["diversity"] / max(usual, 1e-6),
    }
    if len(before.synthetic) and len(after.synthetic):
        found["forgotten"] = float(np.log(after.synthetic.mean() / before.synthetic.mean()))
    return found


def _unfit(before: Indicators, config: GateConfig) -> str | None:
    """Why nothing can be judged on these crops, if so."""
    if len(before) < config.least_crops:
        return f"Only {len(before)} frames were held out, too few to tell whether the new model is better; record more."
    seen = _mean(before.per_crop["seen"])
    if seen < config.least_seen:
        return (
            f"Only {seen:.0%} of the held-out frames show a hand clearly; record again with the hand sharp and in view."
        )
    usual = before.whole.get("synthetic_diversity", np.nan)
    if before.whole["diversity"] < config.least_poses * usual:
        return (
            "The held-out frames all show nearly the same pose, which proves nothing about others; record more poses."
        )
    return None


def _veto(terms: dict[str, float], config: GateConfig) -> str | None:
    """What no gain makes up for, if it happened."""
    if not np.isfinite([terms["spread_kept"], terms["diversity_kept"], terms.get("forgotten", 0.0)]).all():
        return "The new model gives no numbers any more."
    if terms["spread_kept"] < config.least_spread:
        return f"The new model's hands shrink to {terms['spread_kept']:.0%} of their size: it collapses."
    if terms["diversity_kept"] < (config.least_diversity_nearer if terms["nearer"] > 0.5 else config.least_diversity):
        return (
            f"The new model's poses differ only {terms['diversity_kept']:.0%} as much as they should:"
            " it gives every frame the same pose."
        )
    if terms.get("forgotten", 0.0) > config.most_forgotten:
        return f"The new model forgets: its error on rendered hands grew by {np.exp(terms['forgotten']) - 1:.0%}."
    return None


def _not_better(score: float, config: GateConfig) -> str:
    if not np.isfinite(score):
        return "Nothing could be measured on the held-out frames."
    if score <= config.margin:
        return "On the held-out frames the new model is not better than the one in use."
    return "On the held-out frames the new model is a little better, but not beyond chance; record more."


def _better(before: Indicators, after: Indicators) -> str:
    """What improved, in words."""
    words = {
        "view_consistency": "contradicts itself {} less between views",
        "detector_agreement": "lies {} nearer to the landmark model",
    }
    better = []
    for name, said in words.items():
        then, now = (_mean(one.per_crop[name]) for one in (before, after))
        if np.isfinite(then) and 1 - now / max(then, 1e-9) >= 0.005:
            better.append(said.format(f"{1 - now / then:.0%}"))
    return f"On the held-out frames the new model {' and '.join(better) or 'is better in the mean of all indicators'}."


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def split_held_out(crops: CropSet, share: float = 0.25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to learn from and row numbers to judge by, about `share` of the crops, in the order of time.

    Whole segments are held out where the recording has enough of them. Where not, or where every picture is a segment
    of its own, four blocks spread over the recording are, and the crops beside them are in neither part.
    """
    if not 0 < share < 0.6 or len(crops) < 2:
        raise SemihandError(f"From {len(crops)} frames a share of {share} can't be held out.")
    held = _whole_segments(crops.segment, share, np.random.default_rng(seed))
    if held is not None:
        return np.flatnonzero(~held), np.flatnonzero(held)
    return _cut_blocks(len(crops), share, np.random.default_rng(seed))


def _whole_segments(segment: np.ndarray, share: float, rng) -> np.ndarray | None:
    """(N,) bool: crops of some segments, or None where those would be too many or too few crops."""
    numbers, sizes = np.unique(segment, return_counts=True)
    if len(numbers) < 3 or np.median(sizes) < 3:
        return None
    wanted, most, chosen = share * len(segment), TAKES[1] * share * len(segment), []
    for i in rng.permutation(len(numbers)):
        taken = sizes[chosen].sum()
        if taken < wanted and taken + sizes[i] <= most:
            chosen.append(i)
    if sizes[chosen].sum() < TAKES[0] * wanted:
        return None
    return np.isin(segment, numbers[chosen])


def _cut_blocks(count: int, share: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """The same for a recording that is one stretch of time."""
    parts = min(PARTS, max(1, count // 20))
    gap = GAP if count >= 20 else 0
    held, near = np.zeros(count, bool), np.zeros(count, bool)
    edges = np.linspace(0, count, parts + 1).round().astype(int)
    for low, high in zip(edges, edges[1:]):
        size = max(1, round(share * (high - low)))
        start = int(rng.integers(low, high - size + 1))
        held[start : start + size] = True
        near[max(0, start - gap) : start + size + gap] = True
    return np.flatnonzero(~near), np.flatnonzero(held)
