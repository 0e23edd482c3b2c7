"""The society: agents with views of at most eight dimensions, and the nine phases of their life."""

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.society import Society
from agents.world import World

__all__ = ["InputError", "Society", "SocietyConfig", "World"]
