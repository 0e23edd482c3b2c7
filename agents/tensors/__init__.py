"""The tick as whole-array operations of PyTorch, so that it can be done by a GPU.

Each function does what its NumPy form in another module, named in its docstring, does, on columns that are tensors, and
tests hold the two against each other. No agent is gone through by itself, nothing is left out of an array because it
has nothing to do (it is written back as it was), and the device is waited for only where a number is needed.
"""

from agents.tensors.society import TensorSociety

__all__ = ["TensorSociety"]
