"""Build the API reference of the three packages from their docstrings: ``make docs``.

    python docs/build_api.py [DIRECTORY]          # build/api, unless another is given

Any warning is an error: the exit status is 1, and every warning is printed.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import sys
import types
import typing
import warnings
from pathlib import Path

import pdoc
import pdoc.doc_types
import pdoc.extract
import pdoc.render

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agents", "knowledge_graph", "detection")


def resolve(cls: type) -> None:
    """Put types where the makers of named tuples and of dataclasses have only the text of an annotation.

    pdoc looks a text up in the module of the maker, which for a named tuple is none at all, and for an inherited field
    is another one than where it was written.
    """
    hints: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        module = sys.modules[base.__module__]
        hints |= pdoc.doc_types.resolve_annotations(vars(base).get("__annotations__", {}), module, None, base.__name__)
    for name in ("__init__", "__new__"):
        annotations = getattr(getattr(cls, name), "__annotations__", {}) if name in vars(cls) else {}
        for field, kind in annotations.items():
            if field in hints and isinstance(kind, (str, typing.ForwardRef)):
                annotations[field] = hints[field]


def specifications() -> list[str]:
    """The packages, and those modules in them that pdoc does not come to by itself, since no package offers them."""
    found: list[str] = []
    reached: set[str] = set()
    for package in PACKAGES:
        inside = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        for name in (package, *(module.name for module in inside if "._" not in module.name)):
            if name not in reached:
                found.append(name)
                reached |= set(pdoc.extract.walk_specs([name]))
    return found


def build(directory: Path) -> list[str]:
    """Write the pages; the warnings that this gave."""
    # A module that there is for type checkers only; one signature names its one class.
    stubs = types.ModuleType("_typeshed")
    vars(stubs)["DataclassInstance"] = type("DataclassInstance", (), {})
    sys.modules.setdefault("_typeshed", stubs)
    directory = directory.resolve()
    # Elsewhere a directory of the same name would make pdoc wonder which of the two is meant.
    with contextlib.chdir(ROOT), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        specs = specifications()
        for name in pdoc.extract.walk_specs(specs):
            for _, cls in inspect.getmembers(pdoc.extract.load_module(name), inspect.isclass):
                if cls.__module__ == name:
                    resolve(cls)
        pdoc.render.configure(docformat="numpy", footer_text="dimensional-views")
        pdoc.pdoc(*specs, output_directory=directory)
    return [str(warning.message) for warning in caught]


def main() -> int:
    """The command line; returns the exit status."""
    sys.path.insert(0, str(ROOT))
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build", "api")
    complaints = build(directory)
    print("\n".join([*complaints, f"{len(list(directory.rglob('*.html')))} pages in {directory}"]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
