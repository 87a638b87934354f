"""Every number of every command is refused at the door where it is not finite or absurd."""

from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from semihand.cli import app


def numbers(group=app, names=()):
    """(command line up to the option, option) of every option that takes a number."""
    for child in group.registered_groups:
        yield from numbers(child.typer_instance, (*names, child.name))
    for command in group.registered_commands:
        name = command.name or command.callback.__name__
        for parameter, hint in get_type_hints(command.callback, include_extras=True).items():
            kinds = {hint.__origin__, *get_args(hint.__origin__)} if hasattr(hint, "__metadata__") else set()
            if kinds & {int, float}:
                given = hint.__metadata__[0].param_decls or (f"--{parameter.replace('_', '-')}",)
                yield (*names, name), next(option for option in given if option.startswith("--"))


NUMBERS = list(numbers())


def test_there_are_some():
    assert {option for _, option in NUMBERS} >= {"--fps", "--threads", "--minutes", "--seed", "--max-frames", "--f"}


@pytest.mark.parametrize("value", ["inf", "nan", "99999999999999999999"])
@pytest.mark.parametrize(
    "names,option", NUMBERS, ids=lambda value: " ".join(value) if isinstance(value, tuple) else value
)
def test_senseless_numbers_are_wrong_usage(names, option, value):
    result = CliRunner().invoke(app, [*names, option, value])
    text = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2, text
    assert option in text and "Missing" not in text
