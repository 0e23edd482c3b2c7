"""The society: agents with views of at most eight dimensions, and the nine phases of their life."""

import warnings

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # In Jupyter, Mesa's batch runner asks for a progress bar of ipywidgets as soon as it is imported; nobody here does.
    warnings.filterwarnings("ignore", message="IProgress not found", category=TqdmWarning)
    import mesa  # noqa: F401

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.society import Society
from agents.world import World

__all__ = ["InputError", "Society", "SocietyConfig", "World"]
