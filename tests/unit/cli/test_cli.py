"""The command line: help for newcomers, one line for mistakes, exit codes for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import torch
import typer
from PIL import Image
from support.anytime import weights
from support.command import TINY, refused
from support.images import made_up, write_prepared
from support.official import cars, pack
from support.runs import tiny

from agm import Schedule, runs
from study import profiles
from study.cli import commands

Agm = Callable[..., Any]
COMMANDS = [
    *((), ("params",), ("train",), ("data",), ("data", "list"), ("data", "verify"), ("data", "prepare")),
    *(("runs",), ("evaluate",), ("upscale",), ("export",)),
    *(("claims",), ("status",)),
]


def command(path: tuple[str, ...]) -> Any:
    found: Any = typer.main.get_command(commands)
    for name in path:
        found = found.commands[name]
    return found


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help(agm_command: Agm, path: tuple[str, ...]) -> None:
    result = agm_command(*path, "--help")
    assert (result.code, result.err) == (0, "")
    assert "Usage: " in result.out
    assert len(result.out.splitlines()) > 5


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_explained(path: tuple[str, ...]) -> None:
    found = command(path)
    assert found.help
    for parameter in found.params:
        if parameter.name not in ("install_completion", "show_completion", "help"):
            assert getattr(parameter, "help", None), f"{' '.join(path)} {parameter.name}"


def test_no_command_is_forgotten_here() -> None:
    def walk(found: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        children = getattr(found, "commands", {})
        return [path, *(p for name, child in children.items() for p in walk(child, (*path, name)))]

    assert set(walk(command(()), ())) == set(COMMANDS)


def test_help_knows_all_profiles(agm_command: Agm) -> None:
    shown = " ".join(agm_command("train", "--help").out.replace("│", " ").split())
    assert ", ".join(profiles.names()) in shown


def test_a_misspelt_profile_is_refused(agm_command: Agm) -> None:
    refused(agm_command("train", "--profile", "smok"), "unknown profile 'smok'", "did you mean 'smoke'")
    refused(agm_command("runs", "--profile", "smok"), "unknown profile 'smok'")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "widht=3"], ["unknown configuration field 'widht'", "did you mean 'width'"]),
        (["--set", "width"], ["--set width: expected FIELD=VALUE"]),
        (["--set", "width=wide"], ["width='wide'", "expected int"]),
        (["--set", "width=0"], ["width=0: must be positive"]),
        (["--set", "width=" + "[" * 9999], ["width='[[", "expected int"]),
        (["--schedule", "x--x\nxxxx"], ["bad schedule 'x--x"]),
        (["--set", "learning_rate=NaN"], ["learning_rate=nan"]),
        (["--set", "adversarial_weight=Infinity"], ["adversarial_weight=inf"]),
        (["--set", "seed=1e3"], ["seed=1000.0"]),
        (["--set", "lipschitz=clip"], ["unknown lipschitz 'clip'", "clipping"]),
        (["--set", "image_size=8"], ["image_size=8"]),
        (["--layers", "rrrx"], ["layers='rrrx'"]),
        (["--schedule", "xxxx (3"], ["bad schedule", "at character 5"]),
        (["--schedule", "xxxx (3)"], ["the schedule has 3 iterations, the generator 10"]),
        (["--dataset", "photograph"], ["unknown data set 'photograph'", "did you mean 'photographs'"]),
        (["--dataset", "no/such/folder"], ["no/such/folder: there is no such folder"]),
        (["--dataset", ""], ["unknown data set ''"]),
        (["--epochs", "0"], ["epochs=0: must be positive"]),
        (["--seed", "-1"], ["seed=-1"]),
        (["--time-budget", "soon"], ["time 'soon'", "such as 50ms"]),
        (["--experiment", "fig44"], ["unknown experiment 'fig44'", "did you mean 'fig4'"]),
        (["--run", "abc"], ["run 'abc' is not planned by profile 'smoke'"]),
        (["--experiment", "fig4", "--epochs", "1"], ["epochs"]),
        (["--run", "abc", "--set", "width=3"], ["width"]),
        (["--experiment", "fig4", "--run", "abc"], ["exclude each other"]),
    ],
    ids=lambda value: " ".join(value)[:30],
)
def test_mistakes_are_one_line(agm_command: Agm, home: Path, options: list[str], words: list[str]) -> None:
    refused(agm_command("train", "--profile", "smoke", *options), *words)
    assert list(home.iterdir()) == []


def test_an_option_that_does_not_exist_is_refused(agm_command: Agm) -> None:
    result = agm_command("train", "--layres", "nnnr")
    assert result.code == 2
    assert "--layres" in result.err
    assert "Traceback" not in result.err


def test_the_papers_data_sets_are_explained_where_they_are_missing(agm_command: Agm) -> None:
    refused(agm_command("train", "--profile", "paper"), "'cars' is not prepared", "data/cars.md", "photographs")


def test_train_then_everything_else(agm_command: Agm, home: Path) -> None:
    """One run through all commands that look at runs."""
    config = tiny()
    folder = home / "build" / "runs" / config.id
    first = agm_command("train", *TINY)
    assert first.code == 0
    assert first.out.startswith(f"{config.id} finished: rnnr on photographs, test MSE ")
    assert str(folder) in first.out
    run = runs.Run.read(folder)
    assert run.config == config
    assert f"test MSE {run.test().mean():.4f} (bicubic {run.bicubic():.4f})" in first.out

    modified = (folder / "summary.json").stat().st_mtime_ns
    assert agm_command("train", *TINY).out == first.out
    assert (folder / "summary.json").stat().st_mtime_ns == modified

    listed = json.loads(agm_command("runs", "--json").out)
    assert [row["id"] for row in listed] == [config.id]
    assert listed[0]["mse"] == pytest.approx(run.test().mean())
    assert config.id in agm_command("runs").out
    planned = agm_command("runs", "--profile", "smoke", "--json")
    assert {row["status"] for row in json.loads(planned.out)} == {"missing"}
    assert "0 of " in planned.err

    measured = json.loads(agm_command("evaluate", folder, "--json").out)
    assert measured["images"] == 4
    assert measured["iterations"]["psnr"] == pytest.approx(run.test("psnr").tolist())
    assert measured["bicubic"] == run.summary["bicubic"]["test"]
    shown = agm_command("evaluate", folder / "generator.safetensors", "--schedule", "A", "--statistics", "precise")
    assert str(Schedule.parse("A")) in shown.out
    assert len(shown.out.splitlines()) == 2 + 10 + 1
    other = json.loads(agm_command("evaluate", folder, "--dataset", "instruments", "--json").out)
    assert other["bicubic"] != measured["bicubic"]
    refused(agm_command("evaluate", folder, "--statistics", "shard"), "unknown statistics 'shard'")
    refused(agm_command("evaluate", folder, "--schedule", "rrrr (2)"), "the network has n")
    refused(agm_command("evaluate", folder / "config.json"), "config.json: not a safetensors file")
    refused(agm_command("evaluate", home), "no weights there")

    (folder / "summary.json").write_text("{}")
    refused(agm_command("runs"), "summary.json belongs to another configuration")


def test_text_fields_may_look_like_numbers(agm_command: Agm, home: Path) -> None:
    """precision=32 is the text that the configuration knows; a folder may be called 7."""
    assert agm_command("train", *TINY, "--set", "precision=32", "--time-budget", "1ms").code == 75
    assert (home / "build" / "runs" / tiny().id / "config.json").exists()
    refused(agm_command("train", *TINY, "--dataset", "7"), "unknown data set '7'")


def test_a_time_budget_ends_with_75_and_the_same_command_goes_on(agm_command: Agm, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    stopped = agm_command("train", *TINY, "--out", out, "--time-budget", "1ms")
    assert stopped.code == 75
    assert stopped.out == ""
    assert f"{tiny().id} stopped and saved in {out / tiny().id}; run the same command again" in stopped.err
    assert agm_command("train", *TINY, "--out", out).code == 0
    assert (out / tiny().id / "summary.json").exists()


def test_an_experiment_stops_at_its_first_unfinished_run(agm_command: Agm, home: Path) -> None:
    assert agm_command("train", "--profile", "smoke", "--experiment", "table1", "--time-budget", "1ms").code == 75
    (folder,) = (home / "build" / "runs").glob("[!.]*")
    assert agm_command("train", "--profile", "smoke", "--run", folder.name, "--time-budget", "1ms").code == 75
    assert [path.name for path in (home / "build" / "runs").glob("[!.]*")] == [folder.name]


def test_a_network_of_crops_is_evaluated_on_any_other_set(agm_command: Agm, home: Path) -> None:
    path = weights(home / "w.safetensors", crops=8)
    refused(agm_command("evaluate", path), "crops=8: photographs is no folder of photographs")
    found = json.loads(agm_command("evaluate", path, "--dataset", "instruments", "--json").out)
    assert len(found["iterations"]["psnr"]) == 3


def test_data_list(agm_command: Agm, home: Path) -> None:
    write_prepared(home / "data" / "faces", made_up(4))
    lines = {line.split()[0]: line for line in agm_command("data", "list").out.splitlines()}
    assert set(lines) == {"cars", "faces", "geo", "natural", "photographs", "closeups", "instruments", "PATH"}
    assert f"ready in {home / 'data' / 'faces'}" in lines["faces"]
    assert "not prepared; see data/cars.md" in lines["cars"]
    assert "not prepared; see data/natural.md" in lines["natural"]
    assert "bundled" in lines["photographs"]


def test_data_verify(agm_command: Agm, tmp_path: Path) -> None:
    images = made_up(12)
    images[5] = images[4]
    folder = write_prepared(tmp_path / "mine", images)
    result = agm_command("data", "verify", folder)
    assert result.code == 0
    assert "12 images in 12 groups, all readable" in result.out
    assert "1 repeats left out" in result.out
    assert runs_fingerprint(folder) in result.out
    (folder / "images.tar").write_bytes((folder / "images.tar").read_bytes()[:5000])
    from agm import data

    data.load.cache_clear()
    refused(agm_command("data", "verify", folder), "images.tar")
    refused(agm_command("data", "verify", tmp_path / "none"), "there is no such folder")


def runs_fingerprint(folder: Path) -> str:
    from agm.data import prepared

    return prepared.load(folder).fingerprint


def test_data_verify_of_a_folder_names_and_counts_what_is_broken(
    agm_command: Agm, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, pixels in enumerate(made_up(5, 20)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "broken.jpg").write_text("no image")
    result = agm_command("data", "verify", folder)
    assert "5 images" in result.out
    assert f"skipped {folder / 'broken.jpg'}" in caplog.text
    assert "1 of 6 images" in caplog.text


def test_no_runs_yet(agm_command: Agm) -> None:
    assert json.loads(agm_command("runs", "--json").out) == []
    assert "no finished runs" in agm_command("runs").err


@pytest.mark.parametrize("options", [("--width", "0"), ("--image-size", "0"), ("--image-size", "-4")])
def test_impossible_params(agm_command: Agm, options: tuple[str, str]) -> None:
    refused(agm_command("params", *options), options[1])


NO_MEMORY = (
    MemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 2 TiB\nmore"),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
)


@pytest.mark.parametrize("error", NO_MEMORY)
def test_out_of_memory_is_one_line(agm_command: Agm, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("agm.training.loop.build", fail)
    refused(agm_command("train", *TINY), "out of memory; lower one of batch_size 8, width 2, image_size 16")


def test_a_run_that_diverges_is_kept_and_said(agm_command: Agm, caplog: pytest.LogCaptureFixture) -> None:
    unstable = ("--set", "learning_rate=1e20", "--set", "adversarial_weight=0.0", "--set", "train_images=32")
    result = agm_command("train", *TINY, *unstable)
    assert result.code == 0
    assert " diverged: rnnr on photographs, test MSE 0." in result.out
    (message,) = (record.getMessage() for record in caplog.records)
    assert "the loss is not finite in epoch 1; recorded as diverged, in the state after the epoch before" in message
    assert " diverged " in agm_command("runs").out


def test_a_bug_is_not_dressed_up_as_a_mistake(agm_command: Agm, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr("agm.training.loop.build", fail)
    with pytest.raises(RuntimeError, match="something else"):
        agm_command("train", *TINY)


def test_the_installed_command(tmp_path: Path) -> None:
    """As a user calls it: a real process, a mistake, one line, exit code 1."""
    agm = Path(sys.executable).parent / "agm"
    environment = os.environ | {"AGM_HOME": str(tmp_path)}
    call = {"env": environment, "capture_output": True, "text": True, "timeout": 100, "check": False}
    done = subprocess.run([agm, "train", "--profile", "nosuch"], **call)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("agm: unknown profile 'nosuch'")
    assert done.stderr.count("\n") == 1


def test_click_is_what_typer_uses() -> None:
    assert isinstance(command(("params",)), click.Command | typer.core.TyperCommand)


def test_data_prepare(agm_command: Agm, home: Path) -> None:
    """From an archive to a set that is found by its name."""
    from agm import data
    from agm.data import prepared

    source = pack(cars(home / "source", 8, 6), home / "cars.tgz")
    result = agm_command("data", "prepare", "cars", "--source", source)
    assert result.code == 0
    assert "Stanford Cars: 14 images from cars_train with cars_train_annos.mat; cars_test with" in result.out
    assert f"-> {home / 'data' / 'cars'} prepared" in result.out
    assert prepared.load(home / "data" / "cars").fingerprint in result.out
    assert "is there already, unchanged" in agm_command("data", "prepare", "cars", "--source", source).out
    data.load.cache_clear()
    assert "14 images in 3 groups" in agm_command("data", "verify", "cars").out
    data.load.cache_clear()
    other = cars(home / "other", 8, 0)
    refused(agm_command("data", "prepare", "cars", "--source", other), "holds another prepared set", "--force")
    assert agm_command("data", "prepare", "cars", "--source", other, "--force").code == 0
    assert len(prepared.load(home / "data" / "cars")) == 8


def test_data_prepare_refuses_what_it_does_not_know(agm_command: Agm, tmp_path: Path) -> None:
    source = cars(tmp_path / "source", 3, 0)
    refused(agm_command("data", "prepare", "geo", "--source", source), "no SAT-4; looked for sat-4-full.mat")
    refused(agm_command("data", "prepare", "carts", "--source", source), "unknown data set 'carts'", "'cars'")
    refused(agm_command("data", "prepare", "cars", "--source", tmp_path / "no"), "there is no such file or folder")
    whole = pack(source, tmp_path / "x.tgz").read_bytes()
    (tmp_path / "x.tgz").write_bytes(whole[: len(whole) // 2])
    refused(agm_command("data", "prepare", "cars", "--source", tmp_path / "x.tgz"), "x.tgz", "damaged or cut short")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "x.tgz"]
