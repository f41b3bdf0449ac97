"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("agm", "study")
    for path in sorted((ROOT / package).rglob("*.py"))
}
CORE = {
    name
    for name in MODULES
    if re.fullmatch(r"agm(\.(networks|training|data)(\..*)?|\.[^.]+)?", name)
    and not re.fullmatch(r"agm\.(data\.official\..*|cli|anytime|__main__)", name)
}
"""What a machine needs that only trains, evaluates and records."""

ALLOWED = {
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "PIL",
    "skimage",
    "tifffile",
    "safetensors",
    "tqdm",
    "yaml",
    "filelock",
}
LIGHT = (
    *("agm", "agm.config", "agm.schedule", "agm.errors", "agm.paths", "agm.code_version", "agm.cli"),
    *("study.profiles", "study.experiments", "study.cost", "study.status", "study.cli"),
)
FORBIDDEN = {
    *("notebooks", "workflow", "book", "benchmarks", "tests", "snakemake", "papermill", "nbformat", "nbclient"),
    *("nbconvert", "myst_nb", "jupyter_book", "sphinx", "torchvision"),
}


def imports(path: Path, inside_functions: bool = True) -> Iterator[str]:
    """The modules a file imports when it runs: those only for type checking do not count."""

    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide what is imported"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    yield from visit(ast.parse(path.read_text()))


def top(name: str) -> str:
    return name.partition(".")[0]


def test_the_reader_of_imports_sees_imports(tmp_path: Path) -> None:
    source = (
        "import a.b\nfrom agm import runs\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hidden\n"
    )
    (tmp_path / "m.py").write_text(source + "def f():\n    import late\n")
    assert list(imports(tmp_path / "m.py")) == ["a.b", "agm.runs", "typing", "late"]
    assert list(imports(tmp_path / "m.py", inside_functions=False)) == ["a.b", "agm.runs", "typing"]


def test_the_library_knows_nothing_of_the_study() -> None:
    library = [name for name in MODULES if top(name) == "agm"]
    assert [(name, found) for name in library for found in imports(MODULES[name]) if top(found) == "study"] == []


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    assert len(list((ROOT / "agm").glob("*.py"))) <= 11
    for folder in {path.parent for name, path in MODULES.items() if top(name) == "agm"}:
        assert len(list(folder.glob("*.py"))) <= 14, folder


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_figure_is_a_module_that_bears_its_notebooks_name_and_serves_no_other(path: Path) -> None:
    if path.stem != "playground":
        own = f"study.figures.{path.stem}"
        assert own in MODULES
        assert [name for name in MODULES if name.startswith("study.figures") and own in imports(MODULES[name])] == []


@pytest.mark.parametrize("module", sorted(CORE))
def test_the_training_core_imports_only_what_a_gpu_machine_has(module: str) -> None:
    for name in imports(MODULES[module]):
        if top(name) == "agm":
            assert name in CORE, f"{module} imports {name}, which is not of the core"
        else:
            assert top(name) in ALLOWED | sys.stdlib_module_names, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_the_library_knows_nothing_of_notebooks_the_book_and_the_workflow(module: str) -> None:
    for name in imports(MODULES[module]):
        assert top(name) not in FORBIDDEN, f"{module} imports {name}"


@pytest.mark.parametrize("module", LIGHT)
def test_planning_does_not_import_torch(module: str) -> None:
    """Along all imports that are carried out on the way."""
    seen, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for name in imports(MODULES[current], inside_functions=False):
            assert top(name) not in {"torch", "skimage", "pandas", "matplotlib"}, f"{current}: {name}"
            waiting += [name] if name in MODULES else []


def test_planning_really_does_not_import_torch() -> None:
    code = f"import sys, {', '.join(LIGHT)}; print(sorted({{'torch', 'pandas'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_listing_runs_does_not_import_torch() -> None:
    code = "import sys, agm.runs; print('pandas' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_runs_are_recorded_without_what_a_gpu_machine_may_lack() -> None:
    lacking = "{'typer', 'matplotlib', 'seaborn', 'jupyter_core'}"
    code = f"import sys, workflow.record; print(sorted({lacking} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("study.claims")])
def test_claims_are_judged_from_finished_runs_alone(module: str) -> None:
    for name in imports(MODULES[module]):
        assert not name.startswith(
            ("study.figures", "agm.training.loop", "agm.training.step", "agm.data", "agm.anytime", "study.cli")
        )
        assert top(name) not in {"matplotlib", "seaborn", "typer"}


def test_no_imports_in_a_circle() -> None:
    graph = {m: [n for n in imports(path, inside_functions=False) if n in MODULES] for m, path in MODULES.items()}

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for name in graph[module]:
                walk(name, (*way, module))
            done.add(module)

    done: set[str] = set()
    for module in graph:
        walk(module, ())


@pytest.mark.parametrize(
    "module",
    ["agm.networks.layers", "agm.networks.generator", "agm.networks.critic", "agm.training.losses", "agm.metrics"],
)
def test_no_device_moves_in_the_networks(module: str) -> None:
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in {"to", "cuda", "cpu"}, f"{module}, line {node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_unpickled_and_nothing_is_unpacked(module: str) -> None:
    source = MODULES[module].read_text()
    assert not re.search(
        r"(?<!safetensors\.)torch\.load\(|import pickle|extractall\(|yaml\.load\(|allow_pickle", source
    )
