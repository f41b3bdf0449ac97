"""Hashes of code, which codes count as one, and what `agm status` says of made-up states."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import golden
import pytest

from agm import code_version, files
from agm.code_version import changed, code_hash, kind_of_network, representative
from agm.config import GeneratorConfig
from agm.errors import AgmError
from study.status import INPUTS, lines, note, states

SOURCE = 'from agm.networks import cell\n\n\ndef f(x: int) -> int:\n    """What it gives."""\n    return cell(x) + 1\n'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it gives", "Something else"),
        ('    """What it gives."""\n', ""),
        ("\n\n\n", "\n# Why.\n"),
        ("cell(x) + 1", "(cell(x)\n            + 1)"),
        ("agm.networks", "agm.networks.layers"),
        ("from agm", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\nfrom agm"),
    ],
)
def test_what_does_not_run_is_not_hashed(old: str, new: str) -> None:
    assert old in SOURCE
    changed = SOURCE.replace(old, new, 1).replace("from typing import TYPE_CHECKING\n", "")
    assert code_version.tree_hash(changed) == code_version.tree_hash(SOURCE)


@pytest.mark.parametrize(("old", "new"), [("+ 1", "- 1"), ("+ 1", "+ 2"), ("cell(x)", "cell(-x)"), ("cell", "gate")])
def test_what_runs_is_hashed(old: str, new: str) -> None:
    assert code_version.tree_hash(SOURCE.replace(old, new)) != code_version.tree_hash(SOURCE)


def test_the_training_code_is_what_training_imports(tmp_path: Path) -> None:
    copy = Path(
        shutil.copytree(code_version.ROOT / "agm", tmp_path / "agm", ignore=shutil.ignore_patterns("__pycache__"))
    )
    assert code_hash(tmp_path) == code_hash()

    def edited(name: str, text: str) -> str:
        before = (copy / name).read_text()
        (copy / name).write_text(before + text)
        code_hash.cache_clear()
        found = code_hash(tmp_path)
        (copy / name).write_text(before)
        return found

    for name in ("networks/layers/plain.py", "training/step.py", "data/splits.py", "config.py"):
        assert edited(name, "\nANEW = 1\n") != code_hash(), name
        assert edited(name, '\n"""Words."""\n# More.\n') == code_hash(), name
    for name in ("cli/data.py", "runs.py", "files.py", "code_version.py", "machine.py", "data/official/archives.py"):
        assert edited(name, "\nANEW = 1\n") == code_hash(), name


def test_layers_that_no_golden_run_has_are_never_attested() -> None:
    kinds = [("paper", "rrrn", "paper"), ("light", "nnnn", "light"), ("light", "nnrn", "light-recurrent")]
    for base, layers, kind in kinds:
        assert kind_of_network(GeneratorConfig(layers, base=base)) == kind in golden.SETTINGS  # type: ignore[arg-type]
        other = kind_of_network(GeneratorConfig(f"g{layers[1:]}", base=base))  # type: ignore[arg-type]
        assert changed("old", other) == f"code old was never compared with today's, {code_hash()}"


def test_what_decides_times_is_what_imports_torch_itself() -> None:
    modules = code_version.timed("agm.training.loop")
    assert {"agm.training.loop", "agm.networks.blocks"} < modules.keys()
    assert not {"agm.code_version", "agm.runs"} & modules.keys()  # one has the words in a text, one in a function
    assert code_version.changed_modules(modules | {"agm.code_version": "0", "agm.gone": "0"}) == ["agm.gone"]


def test_todays_training_code_was_compared_with_that_of_the_recorded_runs() -> None:
    for network in golden.SETTINGS:
        noted = [
            known
            for group in files.read_json(code_version.ROOT / "results" / "code.json")[network]
            for known in group["codes"]
        ]
        assert code_hash() in noted, "training code changed: run `python tests/golden.py`, and commit results/code.json"


def test_the_golden_run_gives_the_same_bytes_in_a_second_process() -> None:
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(golden.run, [code_version.ROOT] * 2)
    assert first == second
    assert first[0] == code_hash()
    assert first[2].keys() == golden.SETTINGS.keys()
    assert len(set(first[2].values())) == 3


def attest(folder: Path, *groups: tuple[str, list[str]]) -> None:
    noted = [{"changed": sentence, "codes": dict.fromkeys(codes, "abc")} for sentence, codes in groups]
    files.write_json(folder / "results" / "code.json", {"paper": noted})


def test_codes_of_one_group_are_one_and_others_say_what_changed(home: Path) -> None:
    assert changed(code_hash(), "paper") == ""
    assert changed("old", "paper") == f"code old was never compared with today's, {code_hash()}"
    attest(home, ("", ["older"]), ("the rate decays", ["old", "same"]), ("sums in pairs", ["now", code_hash()]))
    assert changed("now", "paper") == ""
    assert changed(f"now+{code_hash()}", "paper") == ""
    assert changed("same", "paper") == "sums in pairs"
    assert changed("older+now", "paper") == "the rate decays; sums in pairs"
    assert changed("unknown+now", "paper").startswith("code unknown+now was never compared")
    assert (representative("paper"), representative("light")) == ("now", code_hash())


def test_codes_with_equal_bytes_are_entered_as_one() -> None:
    noted: dict[str, Any] = {}
    golden.enter(noted, [("a", "1", {"paper": "x"}), ("b", "2", {"paper": "x", "light": "y"})], "")
    assert noted == {
        "paper": [{"changed": "", "codes": {"a": "1", "b": "2"}}],
        "light": [{"changed": "", "codes": {"b": "2"}}],
        "light-recurrent": [],
    }
    other = [("b", "2", {"paper": "x", "light": "y"}), ("c", "3", {"paper": "x", "light": "z"})]
    with pytest.raises(AgmError, match="light: c gives other bytes; say with --changed"):
        golden.enter(files.finite(noted), other, "")
    with pytest.raises(AgmError, match="paper: b gives other bytes than another code of its group"):
        golden.enter(files.finite(noted), [("a", "1", {"paper": "x"}), ("b", "2", {"paper": "y"})], "")
    golden.enter(noted, other, "the lighter base is wider")
    assert [list(group["codes"]) for group in noted["paper"]] == [["a", "b", "c"]]
    assert noted["light"][1] == {"changed": "the lighter base is wider", "codes": {"c": "3"}}


def test_status_says_what_is_up_to_date_and_why_not(home: Path) -> None:
    attest(home, ("", ["old"]), ("sums in pairs", [code_hash()]))
    for name, noted in (("a", "old"), ("b", code_hash()), ("c", "old")):
        files.write_json(home / "results" / "cpu" / name / "summary.json", {"machine": {"code": noted}})
        files.write_json(home / "results" / "cpu" / name / "config.json", {"generator": {"layers": "nnnr"}})
    files.write_json(home / "results" / "cpu" / "d" / "summary.json", {})
    files.write_json(home / "results" / "cpu" / "d" / "config.json", {"generator": {"layers": "nnnr"}})
    known = code_version.timed("agm.training.loop")
    for name, modules in (("fast", known), ("slow", known | {"agm.networks.layers": "0"})):
        files.write_json(home / "results" / "benchmarks" / f"{name}.json", {"machine": {"modules": modules}})
    files.write_json(home / "notebooks" / "fig1.ipynb", {"source": "glue(1)"})
    (home / "module.py").write_text("x = 1")
    for name in ("fig2", "fig3"):
        made = {"metadata": {INPUTS: note(["module.py", "notebooks/fig1.ipynb"] if name == "fig2" else ["module.py"])}}
        files.write_json(home / "book" / "notebooks" / f"{name}.ipynb", made)
    files.write_json(home / "notebooks" / "fig1.ipynb", {"source": "glue(2)"})
    assert lines(states()) == [
        "runs: 1 of 4 up to date",
        "  a, c: sums in pairs",
        "  d: does not say what code made it",
        "benchmarks: 1 of 2 up to date",
        "  slow: measured before changes in agm.networks.layers, so times may differ",
        "notebooks: 1 of 3 up to date",
        "  fig2: notebooks/fig1.ipynb changed since",
        "  fig1: was not executed here",
        "book: 0 of 1 up to date",
        "  book: was not built here",
    ]
