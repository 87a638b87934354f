"""Pickle files that hold numbers and NumPy arrays only: nothing else in them is ever run."""

from __future__ import annotations

import pickle
from pathlib import Path

from ..errors import SemihandError

_REBUILD = ("_reconstruct", "scalar")
_ALLOWED = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
    | {(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in _REBUILD}
    | {(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}
)
_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, ImportError, LookupError)


class _ArraysOnly(pickle.Unpickler):
    """A pickle can name any function and have it called; this one refuses all but NumPy's array builders."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise SemihandError(f"it wants to call {module}.{name}, which a file of labels does not need")
        return super().find_class(module.replace("numpy.core.", "numpy._core."), name)


def load_arrays(file: Path) -> object:
    """The file's dicts, lists, numbers, texts and arrays. Raises SemihandError on anything else or a broken file.

    Files of Python 2 are read too (texts as latin1, as NumPy needs).
    """
    try:
        with file.open("rb") as stream:
            return _ArraysOnly(stream, encoding="latin1").load()
    except SemihandError as error:
        raise SemihandError(f"{file} was not read: {error}. Fetch it from the data set's own page.") from None
    except OSError as error:
        raise SemihandError(f"{file} cannot be opened: {error.strerror}.") from error
    except _BROKEN as error:
        raise SemihandError(f"{file} is no complete pickle file ({error}). Download it again.") from error
