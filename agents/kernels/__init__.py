"""The compiled inner loops of the tick: what large societies spend their time on, without temporaries.

Each does what a plain NumPy form elsewhere, named in its docstring, does in whole arrays; tests hold the two against
each other. They differ in the last digits of levels, which are summed here in an order of its own, the same on every
machine. Nothing is drawn here: random numbers come in, whole arrays of them.

A kernel works on a range of agents or pairs, each of whom writes only to what is its own. So ranges can be done in any
order and in any number of threads, with the same result.
"""

from agents.kernels.contests import contests, feed
from agents.kernels.founding import dealt, first_exemplars
from agents.kernels.seeing import heights, levels, perceive, scenes
from agents.kernels.talk import hear, remember, say
from agents.kernels.threads import in_order

__all__ = [
    "contests",
    "dealt",
    "feed",
    "first_exemplars",
    "hear",
    "heights",
    "in_order",
    "levels",
    "perceive",
    "remember",
    "say",
    "scenes",
]
