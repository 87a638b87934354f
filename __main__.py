"""`python -m semihand`, and the command `semihand`."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, while it is still being loaded too."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        print("Aborted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
