"""The one exception that a user sees as a sentence instead of a traceback."""


class SemihandError(Exception):
    """What happened, the value, the next step, in one sentence. The command line prints it and exits with 1."""
