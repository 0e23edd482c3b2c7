"""matplotlib, which is optional, without the state of pyplot."""

from __future__ import annotations

import importlib
from typing import Any

from detection.errors import InputError


def matplotlib(what: str) -> Any:
    """The module, with its figures; ``what`` is drawn with it.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        module = importlib.import_module("matplotlib")
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise InputError(
            f"{what} drawn by matplotlib, which is not installed ({error}); pip install 'dimensional-views[viz]'"
        ) from error
    return module
