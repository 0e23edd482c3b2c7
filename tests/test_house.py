"""What a newcomer takes for granted: every public name says what it is, and the files about the project agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.documented import ROOT

PACKAGES = ("agents", "knowledge_graph", "detection", "experiments")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, Named]]:
    """Classes, functions and methods whose names do not begin with an underscore; not those inside functions."""
    for node in body:
        if isinstance(node, Named) and not node.name.startswith("_"):
            yield inside + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{inside}{node.name}.")


def says_itself(node: Named) -> bool:
    """Whether what it does is said elsewhere: overloads, setters, and methods that override without a word."""
    names = {ast.unparse(decorator) for decorator in node.decorator_list}
    return bool(names & {"overload", "override", "typing.overload"}) or any(name.endswith(".setter") for name in names)


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_have_docstrings(package: str) -> None:
    silent = []
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place = str(path.relative_to(ROOT))
        if not ast.get_docstring(tree):
            silent.append(place)
        silent += [f"{place}: {name}" for name, node in public(tree.body)
                   if not ast.get_docstring(node) and not says_itself(node)]  # fmt: skip
    assert silent == []


def test_the_citation_says_what_the_project_says() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(cited["cff-version"]) == "1.2.0"
    assert cited["type"] == "software"
    assert cited["message"]
    assert (cited["title"], str(cited["version"])) == (PROJECT["name"], PROJECT["version"])
    assert (cited["license"], cited["abstract"]) == (PROJECT["license"], PROJECT["description"])
    assert cited["keywords"] == PROJECT["keywords"]
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    (author,) = cited["authors"]
    assert re.search(r"Copyright \(c\) \d+ (.*)", licence)[1] == author["name"]  # type: ignore[index]


def test_what_is_wanted_for_development_is_pinned() -> None:
    pinned = {
        line.partition("==")[0]
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    wanted = {re.split(r"[\[>=<]", name)[0] for name in PROJECT["optional-dependencies"]["dev"]}
    assert wanted - {PROJECT["name"]} <= pinned


@pytest.mark.slow
def test_the_reference_is_built_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, str(ROOT / "docs" / "build_api.py"), str(tmp_path / "api")]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("\n") == 1, "nothing but the number of pages"
    pages = {path.relative_to(tmp_path / "api").as_posix() for path in (tmp_path / "api").rglob("*.html")}
    assert {"agents.html", "agents/society.html", "knowledge_graph/library.html", "detection/fcos.html"} <= pages
