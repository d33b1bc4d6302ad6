"""Commands whose flags are the parameters of a library function."""

import inspect
from dataclasses import is_dataclass
from typing import get_args

import pytest

from thence.cli.commands import COMMANDS
from thence.cli.flags import make_command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_help_and_no_markup(name: str) -> None:
    signature = inspect.signature(make_command(COMMANDS[name]))
    for item in signature.parameters.values():
        hint, *_, parameter = get_args(item.annotation)
        if any(is_dataclass(kind) for kind in (hint, *get_args(hint))):
            continue
        assert parameter.help and "``" not in parameter.help, item.name


def test_defaults_are_those_of_the_library() -> None:
    parameters = inspect.signature(make_command(COMMANDS["sample"])).parameters
    assert (parameters["count"].default, parameters["temperature"].default) == (20, 1.0)
    assert parameters["run"].default is inspect.Parameter.empty
