"""The guided recording: what the user is asked to do, one prompt after the other. Pure logic; no window, no clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """One thing to do. frames: goal of kept frames; seconds: how long it lasts once the hand is seen."""

    name: str
    text: str
    frames: int = 50
    seconds: float = 8.0

    def __post_init__(self) -> None:
        if self.frames < 1 or self.seconds <= 0:
            raise ValueError(f"A prompt needs a goal of frames and seconds, not {self}.")


#: What a personal model learns best is what was recorded: the list ends with the user's own poses.
PROMPTS = (
    Prompt("open", "Hold your open hand up and move it slowly about, fingers spread, then together."),
    Prompt("fist", "Close your hand to a fist and open it again, slowly, several times."),
    Prompt("thumb", "Bend and stretch your thumb, to the side and across the palm.", 40, 6.0),
    Prompt("index", "Point with your index finger; bend and stretch it.", 40, 6.0),
    Prompt("middle", "Bend and stretch your middle finger, the others open.", 40, 6.0),
    Prompt("ring", "Bend and stretch your ring finger, the others open.", 40, 6.0),
    Prompt("little", "Bend and stretch your little finger, the others open.", 40, 6.0),
    Prompt("pinch", "Touch the thumb's tip with each fingertip in turn, and open again."),
    Prompt("turn", "Turn your hand: palm, edge, back; lean it left and right, tilt it up and down.", 70, 12.0),
    Prompt("near and far", "Move your hand near the camera, then as far away as you can.", 50, 8.0),
    Prompt("other light", "Switch a lamp on or off, or turn to a window, then open, close and turn your hand."),
    Prompt("your own", "Now the poses that you will use: grips, signs, counting, typing in the air.", 110, 16.0),
)


@dataclass(frozen=True)
class GuideConfig:
    """ready: seconds to read a prompt before frames are kept. patience: times its seconds after which a prompt whose
    goal was not reached is left; waiting: the same where the hand is not seen at all."""

    ready: float = 1.5
    patience: float = 2.0
    waiting: float = 4.0

    def __post_init__(self) -> None:
        if self.ready < 0 or self.patience < 1 or self.waiting < 1:
            raise ValueError(f"ready must not be negative, patience and waiting at least 1, not {self}.")


class Guide:
    """Leads through prompts. Times are the frames' own.

    index: of the prompt (len(prompts) when done); kept: frames of this prompt; take: grows with every start of a
    prompt, first or again; short: names of the prompts that were left before their goal.
    """

    def __init__(self, prompts: tuple[Prompt, ...] = PROMPTS, config: GuideConfig = GuideConfig()) -> None:
        if not prompts:
            raise ValueError("A guide needs at least one prompt.")
        self.prompts, self.config = prompts, config
        self.index, self.take, self.kept = 0, 0, 0
        self.short: list[str] = []
        self._shown: float | None = None  # when the prompt came up
        self._begun: float | None = None  # when its hand was first seen

    @property
    def done(self) -> bool:
        """Whether all prompts are over."""
        return self.index >= len(self.prompts)

    @property
    def prompt(self) -> Prompt | None:
        """The prompt now, None when done."""
        return None if self.done else self.prompts[self.index]

    @property
    def progress(self) -> float:
        """Share in [0, 1] of this prompt's goal that is reached."""
        return 1.0 if self.done else min(self.kept / self.prompt.frames, 1.0)

    def seconds_left(self, time: float) -> float:
        """Of this prompt, once its hand is seen; all of them before."""
        if self.done:
            return 0.0
        return self.prompt.seconds if self._begun is None else max(self.prompt.seconds - time + self._begun, 0.0)

    def update(self, time: float, hand: bool) -> bool:
        """A picture was taken at `time`, with the hand or without. True where the next prompt begins with it."""
        if self.done:
            return False
        if self._shown is None:
            self._shown = time
        if hand and self._begun is None and time - self._shown >= self.config.ready:
            self._begun = time
        if not self._over(time):
            return False
        self.next()
        return True

    def wants(self, time: float) -> bool:
        """Whether one more frame is of use: the goal is spread over the prompt's seconds, not filled at once."""
        if self.done or self._begun is None:
            return False
        share = (time - self._begun) / self.prompt.seconds
        return self.kept < self.prompt.frames and self.kept <= self.prompt.frames * share

    def keep(self) -> None:
        """A frame was kept."""
        self.kept += 1

    def next(self) -> None:
        """Leave this prompt for the next one."""
        if self.done:
            return
        if self.kept < self.prompt.frames:
            self.short.append(self.prompt.name)
        self.index += 1
        self._restart()

    def redo(self) -> None:
        """Begin this prompt again."""
        self._restart()

    def shift(self, seconds: float) -> None:
        """Nothing was looked at for so long: a pause does not count."""
        self._shown = None if self._shown is None else self._shown + seconds
        self._begun = None if self._begun is None else self._begun + seconds

    def text(self) -> str:
        """The prompt in one line, with its number."""
        if self.done:
            return "Done."
        return f"{self.index + 1}/{len(self.prompts)} {self.prompt.name}: {self.prompt.text}"

    def _over(self, time: float) -> bool:
        prompt = self.prompt
        if self._begun is None:
            return time - self._shown >= self.config.waiting * prompt.seconds
        elapsed = time - self._begun
        enough = self.kept >= prompt.frames and elapsed >= prompt.seconds
        return enough or elapsed >= self.config.patience * prompt.seconds

    def _restart(self) -> None:
        self.kept, self._shown, self._begun = 0, None, None
        self.take += 1
