"""Libraries of the extra [stream], imported when an output needs them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import SemihandError

_PACKAGES = {"pythonosc": "python-osc", "websockets": "websockets"}


def need(module: str) -> ModuleType:
    """The module. Raises SemihandError with what to install where it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = _PACKAGES[module.partition(".")[0]]
        raise SemihandError(f"This output needs {package}. Run: pip install 'semihand[stream]'") from error
