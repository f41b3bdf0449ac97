"""Trying networks out: which one is taken, what it has to show by a deadline, one's own picture, the board."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from support.anytime import weights
from support.made_up import make

from agm.errors import AgmError
from study import profiles
from study.figures.film import Film, versions

playground = pytest.importorskip("study.playground", exc_type=ImportError)

SMOKE = profiles.load("smoke")


def made(home: Path, folder: str, layers: str, schedule: str, width: int = 2, with_weights: bool = True) -> str:
    (run,) = make(home / folder, [SMOKE.run("cars", layers=layers, schedule=schedule, width=width)])
    if with_weights:
        weights(run.folder / "generator.safetensors", layers)
    return run.config.id


def test_the_network_is_the_one_trained_with_the_schedule_then_the_widest(home: Path) -> None:
    whole = made(home, "results/cpu", "nnnr", "NOAEL", 4)
    narrow = made(home, "results/cpu", "nnnr", "A", 4)
    wide = made(home, "results/reduced", "nnnr", "A", 8)
    made(home, "results/reduced", "nnnr", "B", 16, with_weights=False)
    assert narrow != wide
    assert playground.network("nnnr", "A", SMOKE).config.id == wide
    assert playground.network("nnnr", "B", SMOKE).config.id == whole
    assert playground.network("nnnr", "x--x (10)", SMOKE).config.id == whole


def test_a_model_without_weights_is_trained(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(playground.runs, "ensure", lambda configs: asked.extend(configs) or make(home, configs))
    playground.network("rnrn", "A", SMOKE)
    assert asked == [SMOKE.run("cars", layers="rnrn")]


def test_a_picture_of_ones_own_is_cut_to_its_central_square() -> None:
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    image[:, 100:200] = (255, 0, 0)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    assert (playground.photograph(buffer.getvalue(), "a.png") == (255, 0, 0)).all()
    with pytest.raises(AgmError, match=r"a\.png: not an image"):
        playground.photograph(b"nonsense", "a.png")


def test_photographs_and_their_versions() -> None:
    first = playground.photographs(3)[0]
    assert first.shape == (64, 64, 3)
    low, enlarged, high = versions(first)
    assert (low.shape, enlarged.shape, high.shape) == ((3, 32, 32), (3, 64, 64), (3, 64, 64))


def test_the_curve_fills_what_is_in_time() -> None:
    grey = torch.full((3, 8, 8), 0.5)
    images = torch.stack([grey + error for error in (0.3, 0.2, 0.1)])
    (ax,) = playground.curve((Film(grey, grey, grey + 0.25, images), [100.0, 200.0, 300.0]), 250).axes
    (points,) = ax.collections
    psnr = [-20 * math.log10(error) for error in (0.3, 0.2, 0.1)]
    np.testing.assert_allclose(points.get_offsets(), list(zip([100, 200, 300], psnr, strict=True)), rtol=1e-5)
    filled = [tuple(colour[:3]) != (1, 1, 1) for colour in points.get_facecolors()]  # type: ignore[attr-defined]
    assert filled == [True, True, False]


def test_the_board(home: Path) -> None:
    """Without a browser: every control has its effect, a mistake becomes a sentence."""
    for schedule in ("NOAEL", "A"):
        made(home, "results/cpu", "nnnr", schedule)
    board = playground.Playground(SMOKE)
    board.show()
    assert len(board.row[1]) == 10  # schedule A
    first = bytes(board.curve.value)
    assert b"<svg" in first
    board.deadline.value = 1.0
    assert bytes(board.curve.value) != first
    assert "nothing yet: bicubic after 1 ms" in board.status.value
    board.deadline.value = 1e4
    assert "iteration 10: " in board.status.value
    sent = {"name": "c.jpg", "content": memoryview(b"nonsense"), "type": "image/jpeg", "size": 1}
    board.upload.value = (sent | {"last_modified": datetime.now(UTC)},)
    assert "c.jpg: not an image" in board.status.value
    buffer = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).save(buffer, "JPEG")
    sent |= {"content": memoryview(buffer.getvalue())}
    board.upload.value = (sent | {"last_modified": datetime.now(UTC)},)
    assert board.row[0].original.shape == (3, 128, 128)
    assert len(board.row[1]) == 10
