"""`make release`: what a release consists of, in build/release, and the tag that names it.

The source as git has it, the book as HTML and as PDF, and the checksums of all three. `.zenodo.json` (from
CITATION.cff) and `codecheck.yml` (what a checker should get, from the notebooks) stand at the root; where one of them
is not up to date it is written anew, and has to be committed first. With `--check` that is all.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jobs
import yaml

import agm
from agm import files
from agm.errors import AgmError, one_line

OUT = Path("build/release")
HTML, PDF = Path("build/_build/html"), Path("build/agm.pdf")
TAG = f"v{agm.__version__}"
SPECIFICATION = "https://codecheck.org.uk/spec/config/2.0/"


def check() -> None:
    """Raises AgmError if something is not committed, or the version has its tag elsewhere."""
    for path, text in descriptions().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.write_text(path, text)
    if changed := git("status", "--porcelain"):
        raise AgmError(f"not committed: {', '.join(line[3:] for line in changed.splitlines())}; commit, then release")
    if git("tag", "--list", TAG) and git("rev-list", "-n1", TAG) != git("rev-parse", "HEAD"):
        raise AgmError(f"{TAG} is another commit; raise the version in pyproject.toml, CITATION.cff and CHANGELOG.md")


def publish() -> None:
    """Raises AgmError if the book is not there."""
    if not (HTML.is_dir() and PDF.exists()):
        raise AgmError("the book is not there; make release builds and prints it first")
    print(pack(f"agm-{agm.__version__}"))
    if not git("tag", "--list", TAG):
        git("tag", "--annotate", TAG, "--message", f"agm {agm.__version__}")
    print(f"{TAG}: commit {git('rev-parse', 'HEAD')[:12]}. To publish: git push origin {TAG}, and upload {OUT}")


def pack(name: str) -> str:
    """Write the archives and their checksums, and return these."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    git("archive", f"--prefix={name}/", f"--output={OUT / name}-source.tar.gz", "HEAD")
    shutil.make_archive(str(OUT / f"{name}-book"), "zip", HTML)
    shutil.copyfile(PDF, OUT / f"{name}-book.pdf")
    sums = "".join(f"{files.sha256(path.read_bytes())}  {path.name}\n" for path in sorted(OUT.iterdir()))
    files.write_text(OUT / "SHA256SUMS", sums)
    return sums.rstrip()


def descriptions() -> dict[Path, str]:
    """The files at the root that describe the project for others, and what should stand in them."""
    citation = yaml.safe_load(Path("CITATION.cff").read_text(encoding="utf-8"))
    zenodo = files.encode_json(zenodo_of(citation)).decode()
    codecheck = yaml.safe_dump(codecheck_of(citation), sort_keys=False, allow_unicode=True, width=120)
    return {Path(".zenodo.json"): zenodo, Path("codecheck.yml"): f"---\n{codecheck}"}


def zenodo_of(citation: dict[str, Any]) -> dict[str, Any]:
    (paper,) = citation["references"]
    names = "; ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    cited = f"{names}: {paper['title']}. {paper['collection-title']}, {paper['year']}"
    return {
        "upload_type": "software",
        "title": citation["title"],
        "version": citation["version"],
        "description": citation["abstract"].strip(),
        "creators": [{"name": author["name"]} for author in citation["authors"]],
        "license": citation["license"][0],
        "notes": f"Code: {citation['license'][0]}. Text and figures of the book: {citation['license'][1]}.",
        "keywords": citation["keywords"],
        "references": [cited],
    }


def codecheck_of(citation: dict[str, Any]) -> dict[str, Any]:
    """The author's part of codecheck.yml. A checker adds the certificate."""
    (paper,) = citation["references"]
    manifest = [
        {"file": output, "comment": files.read_json(notebook)["cells"][0]["source"][0].strip("# \n")}
        for notebook in sorted(Path("notebooks").glob("*.ipynb"))
        if notebook.stem != "playground"
        for output in _outputs(notebook)
    ]
    authors = [{"name": f"{a['given-names']} {a['family-names']}"} for a in paper["authors"]]
    reference = f"{paper['collection-title']}, {paper['year']}"
    about = {"title": paper["title"], "authors": authors, "reference": reference}
    return {"version": SPECIFICATION, "paper": about, "manifest": manifest}


def _outputs(notebook: Path) -> list[str]:
    """Its figures; where it has none, the executed notebook with its tables."""
    return [f"book/figures/{name}.svg" for name in jobs.figures_of(notebook)] or [f"book/{notebook}"]


def git(*arguments: str) -> str:
    """Run git and return its output. Raises AgmError if it fails or is not installed."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.rstrip()
    except OSError as error:
        raise AgmError(f"git cannot be run ({error.strerror}); install it") from None
    except subprocess.CalledProcessError as error:
        raise AgmError(one_line(f"git {arguments[0]}: {error.stderr.strip()}")) from None


if __name__ == "__main__":
    try:
        check()
        if sys.argv[1:] != ["--check"]:
            publish()
    except AgmError as error:
        sys.exit(str(error))
