"""The one exception that users see, the times they write, and where things lie."""

from __future__ import annotations

from pathlib import Path

import pytest

import agm
from agm import paths
from agm.errors import AgmError, parse_duration, unknown


def test_unknown_names_what_exists_and_what_was_probably_meant() -> None:
    assert str(unknown("fruit", "aple", ["pear", "apple"])) == (
        "unknown fruit 'aple'; did you mean 'apple'? (known: apple, pear)"
    )
    assert "did you mean" not in str(unknown("fruit", "zzz", ["pear", "apple"]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b\n\n  c", "a b c"),
        ("x\x1b[2J\0\udcff", r"x\x1b[2J\x00\udcff"),
        ("name  with  two spaces", "name  with  two spaces"),
        ("é — 字", "é — 字"),
    ],
)
def test_a_message_is_one_line_that_can_be_printed(text: str, shown: str) -> None:
    assert str(AgmError(text)) == shown


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    message = str(AgmError("photo.png: " + "x" * 10_000 + "; get it again"))
    assert len(message) <= 500
    assert message.startswith("photo.png: xxx")
    assert message.endswith("xxx; get it again")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50ms", 0.05), ("0.05s", 0.05), ("90s", 90), ("1.5m", 90), ("2h", 7200), (" 1.5 ms ", 0.0015), (".5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "50", "ms", "0ms", "0.0s", "-50ms", "5 minutes", "1s50ms", "inf", "nan", "5d", "m", "9" * 400 + "s"]
)
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(AgmError, match="expected a positive number with its unit, such as 50ms"):
        parse_duration(text)


def test_home_is_the_nearest_folder_with_a_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGM_HOME", raising=False)
    inner = tmp_path / "project" / "notebooks"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert paths.home() == Path(paths.__file__).parents[1]  # nothing found: the checkout that this is
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "installed" / "agm" / "paths.py"))
    assert paths.home() == inner  # not even that: where one stands
    (tmp_path / "project" / "_config.yml").touch()
    assert paths.home() == tmp_path / "project"
    assert paths.data_folder() == tmp_path / "project" / "data"
    assert paths.runs_folder() == tmp_path / "project" / "build" / "runs"
    assert paths.results_folder() == tmp_path / "project" / "results"
    monkeypatch.setenv("AGM_HOME", str(tmp_path / "elsewhere"))
    assert paths.home() == tmp_path / "elsewhere"


def test_the_package_gives_what_it_lists() -> None:
    for name in agm.__all__:
        assert getattr(agm, name).__name__ == name
    assert agm.metrics.psnr.__name__ == "psnr"
    with pytest.raises(AttributeError, match="no attribute 'generater'"):
        _ = agm.generater
