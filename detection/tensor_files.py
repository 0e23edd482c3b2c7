"""Files of tensors and plain values: nothing in them is run, and damage is noticed."""

from __future__ import annotations

import argparse
import pickle
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from detection.errors import InputError

DIRECTORY = 0x10
"""A zip archive's mark of a directory, of which PyTorch writes none."""


def read(path: Path, *, name: str) -> Any:
    """What a file holds, its tensors on the CPU; ``name`` is what errors call it.

    Raises
    ------
    InputError
        If it is missing, damaged, or of anything but tensors and plain values.
    """
    try:
        if path.is_dir():
            raise InputError(f"{name} {path} is a directory; give a file")
        with open(path, "rb") as stream:
            empty = not stream.read(1)
        if empty:
            raise InputError(f"{name} {path} is empty; give the whole file")
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if zipfile.is_zipfile(path):
            # PyTorch does not compare the sums, and leaves a tensor unset whose record is marked as a directory.
            with zipfile.ZipFile(path) as archive:
                directories = [entry.filename for entry in archive.infolist() if entry.external_attr & DIRECTORY]
                damaged = directories[0] if directories else archive.testzip()
            if damaged is not None:
                raise InputError(f"{name} {path} is damaged at {damaged}; copy or download it again")
        # Training scripts keep their flags beside the weights; that class has nothing to run.
        # What PyTorch would rather have (other protocols of pickle) is no matter for those who have this file.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{name} {path} does not exist; give a file that does") from None
    except OSError as error:
        raise InputError(f"{name} {path} cannot be read ({error.strerror or error}); give a file that can") from error
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{name} {path} is no whole file of safetensors ({error}); copy or download it again"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{name} {path} is damaged ({error}); copy or download it again") from error
    except pickle.UnpicklingError as error:
        raise InputError(_unsafe(path, name)) from error
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        # Whatever else the readers say of bytes that they do not understand.
        raise InputError(f"{name} {path} is no whole file of PyTorch's; give a .pth or .safetensors file") from error


def _unsafe(path: Path, name: str) -> str:
    with open(path, "rb") as stream:
        start = stream.read(2)
    # Pickles of protocol 2 and later begin so; PyTorch's old files are several of them.
    if start[:1] == b"\x80" or zipfile.is_zipfile(path):
        return (
            f"{name} {path} holds objects that only running code could load, as detectron2's .pkl does; give a file "
            "with nothing but tensors (.pth or .safetensors)"
        )
    return f"{name} {path} is no file of PyTorch's; give a .pth or .safetensors file"
