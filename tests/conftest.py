"""What all tests share: one thread, repeatable properties, and a project folder that is thrown away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from support.browser import CHROMIUM, DRIVER, chromium, served
from support.checkout import Checkout, copy, snakemake

# Bit-identical results need equal thread counts, and many tests at once should not fight for cores.
torch.set_num_threads(1)

settings.register_profile("agm", deadline=None, max_examples=60, derandomize=True, database=None)
settings.load_profile("agm")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own: no test reads or writes the runs and data of this checkout."""
    monkeypatch.setenv("AGM_HOME", str(tmp_path))
    return tmp_path


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def agm_command(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Call the command line in this process: `agm_command("params", "--json")`."""
    from study import cli

    def call(*arguments: str | Path) -> Result:
        monkeypatch.setattr("sys.argv", ["agm", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.app()
        captured = capsys.readouterr()
        code = stopped.value.code
        return Result(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of this checkout with the whole book at profile smoke, built from nothing: minutes."""
    root = tmp_path_factory.mktemp("checkout")
    copy(root)
    return Checkout(root, snakemake(root))


@pytest.fixture(scope="session")
def html(checkout: Checkout) -> Path:
    """The folder of the built book."""
    assert (checkout.html / "index.html").is_file(), checkout.first.stdout
    return checkout.html


@pytest.fixture(scope="session")
def address(html: Path) -> Iterator[str]:
    """Where the built book is served."""
    with served(html) as where:
        yield where


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver here (Debian: apt install chromium chromium-driver)")
    with chromium() as driver:
        yield driver
