"""All tests here are marked ``trust``: `make check-slow` runs the short ones too, for one summary of everything."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

import agents
import detection
import experiments
import knowledge_graph

HERE = Path(__file__).parent

NEEDS_MORE = ("experiments.frames_wealth",)
"""Modules that need a package which is not installed with the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; pytest hands over those of all folders."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.trust)


@pytest.fixture(autouse=True, scope="session")
def every_module_imported() -> None:
    """Hypothesis tries constants of the modules that are imported: the same cases alone and after all other tests."""
    for package in (agents, knowledge_graph, detection, experiments):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name not in NEEDS_MORE:
                importlib.import_module(module.name)
