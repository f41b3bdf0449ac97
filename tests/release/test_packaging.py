"""What says which packages there are says the same; none has a known flaw; licence and citation are in order."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.checkout import ROOT, make

import agm

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = PROJECT["optional-dependencies"]
DIRECT = [
    Requirement(text)
    for text in PROJECT["dependencies"] + [dep for group in GROUPS.values() for dep in group]
    if not text.startswith("agm[")  # one group that includes another
]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def pins(lines: list[str]) -> dict[str, Version]:
    """Name and version of every `name==version` line; other requirements are refused."""
    found = {}
    for line in lines:
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        assert canonicalize_name(requirement.name) not in found, f"{requirement.name} is pinned twice"
        found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


@pytest.fixture(scope="module")
def constraints() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return pins([line for line in lines if line and not line.startswith("#")])


@pytest.fixture(scope="module")
def environment() -> dict[str, Version]:
    (pip,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    return pins([line for line in pip if not line.startswith("-")])


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_every_direct_dependency_is_pinned_alike_everywhere(
    requirement: Requirement, constraints: dict[str, Version], environment: dict[str, Version]
) -> None:
    name = canonicalize_name(requirement.name)
    assert constraints[name] in requirement.specifier
    assert environment[name] == constraints[name]


def test_the_lock_has_a_hash_of_everything_pinned_but_torch(constraints: dict[str, Version]) -> None:
    text = re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)] == []
    locked = pins([entry.partition(" \\")[0] for entry in entries])
    assert locked == {name: pinned for name, pinned in constraints.items() if name != "torch"}


@pytest.fixture
def advisories() -> Iterator[tuple[str, list[str]]]:
    """The address of a service that knows of a flaw in each of the packages of a list."""
    flawed: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            known = {"vulns": [{"id": "MADE-UP-1", "summary": "a flaw", "affected": []}]} if asked in flawed else {}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(known).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", flawed
        server.shutdown()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    return make("audit", f"AUDIT=--osv-url={url}")


def test_the_audit_finds_known_flaws(advisories: tuple[str, list[str]]) -> None:
    url, flawed = advisories
    clean = audit(url)
    assert clean.returncode == 0, clean.stderr
    assert "No known vulnerabilities found" in clean.stdout
    flawed.append("pillow")
    found = audit(url)
    assert found.returncode != 0
    assert re.search(r"^pillow\s+\S+\s+MADE-UP-1", found.stdout, re.MULTILINE)
    assert "Found 1 known vulnerability" in found.stderr


def test_the_audit_says_in_one_line_that_nobody_answers() -> None:
    done = audit("http://127.0.0.1:9")
    assert done.returncode != 0
    (line, _) = done.stderr.strip().splitlines()  # and make's own
    assert "ConnectionError" in line


def test_what_is_imported_is_declared() -> None:
    """Not only what happens to come with other packages. `openvino` is asked for, and left out where it is not."""
    folders = ("agm", "study", "workflow", "benchmarks", "tests", "book/_extensions")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in sources for node in ast.walk(ast.parse(path.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    known = packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in DIRECT} | {"agm"}
    foreign = {name.partition(".")[0] for name in names} & known.keys() - sys.stdlib_module_names
    assert len(foreign) > 20
    assert [name for name in foreign if not declared & set(map(canonicalize_name, known[name]))] == []


def test_the_environment_names_nothing_else(environment: dict[str, Version]) -> None:
    assert set(environment) == {canonicalize_name(requirement.name) for requirement in DIRECT}


def test_no_pin_bears_a_local_version(constraints: dict[str, Version]) -> None:
    assert [name for name, pinned in constraints.items() if pinned.local] == []


def test_the_environments_python_is_allowed() -> None:
    (python,) = (entry for entry in ENVIRONMENT["dependencies"] if str(entry).startswith("python="))
    assert Version(python.removeprefix("python=")) in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.skipif(sys.platform != "linux" or sys.version_info[:2] != (3, 11), reason="pins are of Linux, Python 3.11")
def test_what_is_pinned_is_pinned_all_the_way_down(constraints: dict[str, Version]) -> None:
    missing, seen = set(), set()
    queue = [(requirement, "") for requirement in DIRECT]
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in constraints:
            missing.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                queue += [(needed, wanted) for needed in _requirements(name)]
    cuda = {name for name in missing if name.startswith(("nvidia-", "cuda-", "triton"))}  # torch's own, for GPUs
    assert missing - {"pip"} == cuda  # pip-audit asks for the environment's own pip


def _requirements(name: str) -> list[Requirement]:
    try:
        return [Requirement(text) for text in requires(name) or []]
    except PackageNotFoundError:
        return []


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert agm.__version__ == PROJECT["version"] == citation["version"] == version("agm")
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_the_one_that_is_named() -> None:
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"] == ["MIT", "CC-BY-4.0"]
    assert "Attribution 4.0 International License (CC BY 4.0)" in (ROOT / "book" / "LICENSE").read_text()
