"""Short ways in: `semihand in.mp4` and `semihand track in.mp4` for `semihand track --video in.mp4`."""

from __future__ import annotations

from pathlib import Path

from typer.core import TyperCommand, TyperGroup

#: The program's help: what its commands do, by group, in the order in which one needs them.
GUIDE = {
    "Your hands": {
        "track": "Track hands on a webcam, a video or pictures.",
        "adapt": "Make the model better at your own hands.",
        "calibrate": "Measure camera and hand, for true millimetres.",
        "models": "List models; choose which one is used; go back.",
        "recordings": "List your recordings; look at them; delete them.",
        "cameras": "List the cameras that are connected.",
        "play": "Send a recorded track to other programs.",
        "convert": "Write a recorded track as another file.",
        "demo": "Try it without a camera, on a rendered clip.",
        "doctor": "Say what works on this machine, and what to do.",
    },
    "Measuring and research": {
        "eval": "Measure models on labelled pictures, or on a video.",
        "bench": "Measure the speed on this machine.",
        "peers": "Compare with other hand trackers.",
        "ablate": "Measure which part of the method brings what.",
        "gate-study": "Measure how well adapt tells better from worse.",
        "synth": "Render labelled synthetic hands.",
        "studio": "Render a second synthetic world to adapt to.",
        "pool": "Label many people's hands for pretrain.",
        "pretrain": "Train a network.",
        "export": "Make a model file of trained weights.",
    },
}
_VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".wmv", ".gif")


class Doors(TyperGroup):
    """The program: a file or folder in a command's place is tracked. Its help is GUIDE."""

    def format_commands(self, ctx, formatter):
        """A part of the help for each group."""
        for title, commands in GUIDE.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))

    def resolve_command(self, ctx, args):
        """As always; `in.mp4 ...` becomes `track in.mp4 ...`."""
        if args and self.get_command(ctx, args[0]) is None and source_option(args[0]):
            args = ["track", *args]
        return super().resolve_command(ctx, args)


class TrackCommand(TyperCommand):
    """`track`, whose source may stand without its option."""

    def parse_args(self, ctx, args):
        """As always, once the source has its option."""
        return super().parse_args(ctx, self._with_option(ctx, args))

    def _with_option(self, ctx, args: list[str]) -> list[str]:
        given, loose = self._parsed(ctx, args)
        if not loose or {"camera", "video", "images"} & given.keys() or not (option := source_option(loose[0])):
            return args
        for place, value in enumerate(args):
            rest = [*args[:place], *args[place + 1 :]]
            # The same word may be an option's value too.
            if value == loose[0] and self._parsed(ctx, rest) == (given, loose[1:]):
                return [option, value, *rest]
        return args

    def _parsed(self, ctx, args: list[str]) -> tuple[dict, list[str]]:
        """Options by name, and the words that stand without one."""
        given, loose, _ = self.make_parser(ctx).parse_args(list(args))
        return given, [*(given.pop("more_images", None) or ()), *loose]


def source_option(word: str) -> str | None:
    """ "--camera", "--images" or "--video" for what a word names; None where it names nothing that can be tracked."""
    from ..tracker.files import PICTURE_SUFFIXES

    path = Path(word)
    if word.isdecimal():
        return "--camera"
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return "--images"
    return "--video" if path.is_file() or path.suffix.lower() in _VIDEOS else None
