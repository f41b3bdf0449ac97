"""`make release`, in a clone with a book that is made up, and where pages say that they come from."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from support.checkout import ROOT

SAYING = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """This checkout with all that is tracked, committed."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folder = tmp_path / "agm"
    for name in filter(None, tracked.split("\0")):
        if not name.startswith(("results/", "book/_static/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        git(folder, *arguments)
    (folder / "build/_build/html").mkdir(parents=True)
    (folder / "build/_build/html/index.html").write_text("the book")
    (folder / "build/agm.pdf").write_text("printed")
    return folder


def git(folder: Path, *arguments: str) -> str:
    environment = os.environ | SAYING
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def release(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | SAYING | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "workflow/release.py", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_archives_checksums_and_tag(clone: Path) -> None:
    for _ in range(2):  # the same commit can be packed again
        done = release(clone)
        assert done.returncode == 0, done.stderr
    out = clone / "build/release"
    sums = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {path.name for path in out.iterdir()} - {"SHA256SUMS"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == sha256 for name, sha256 in sums.items())
    with tarfile.open(out / "agm-0.1.0-source.tar.gz") as source:
        assert {"agm-0.1.0/agm/__init__.py", "agm-0.1.0/codecheck.yml"} <= set(source.getnames())
    with zipfile.ZipFile(out / "agm-0.1.0-book.zip") as book:
        assert book.read("index.html") == b"the book"
    assert git(clone, "rev-list", "-n1", "v0.1.0") == git(clone, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("page", "source"), [("intro", "book/intro.md"), ("notebooks/cpu/fig4", "notebooks/fig4.ipynb")]
)
def test_pages_name_their_source_and_when_it_changed(page: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "book" / "_extensions")
    ending = ".ipynb" if "/" in page else ".md"
    env = SimpleNamespace(found_docs={page}, doc2path=lambda page, base: page + ending)
    context: dict[str, str] = {}
    importlib.import_module("agm_book").date_pages(SimpleNamespace(env=env), page, "", context, None)
    changed = git(ROOT, "log", "-1", "--no-merges", f"--format=%cs ({source}, commit %h)", "--", source)
    assert context["last_updated"] == changed


def test_what_stands_in_the_way(clone: Path) -> None:
    (clone / "README.md").write_text("changed")
    assert release(clone, "--check").stderr == "not committed: README.md; commit, then release\n"
    git(clone, "commit", "-qam", "more")
    (clone / "build/agm.pdf").unlink()
    assert release(clone, "--check").returncode == 0
    assert release(clone).stderr.startswith("the book is not there; make release builds")
    git(clone, "tag", "v0.1.0", "HEAD~1")
    assert release(clone).stderr.startswith("v0.1.0 is another commit; raise the version")
    assert not (clone / "build/release").exists()


def test_what_describes_the_project_is_kept_up_to_date(clone: Path) -> None:
    assert release(clone, "--check").returncode == 0  # as committed
    citation = clone / "CITATION.cff"
    citation.write_text(citation.read_text().replace("anytime algorithms", "something else"))
    (clone / "notebooks/fig9.ipynb").unlink()
    done = release(clone, "--check")
    assert all(name in done.stderr for name in (".zenodo.json", "codecheck.yml"))
    assert "something else" in (clone / ".zenodo.json").read_text()
    manifest = yaml.safe_load((clone / "codecheck.yml").read_text())["manifest"]
    assert {"file": "book/figures/fig8.svg", "comment": "Fig. 8: quality against time, Config. A"} in manifest
    assert not any("fig9" in entry["file"] for entry in manifest)
