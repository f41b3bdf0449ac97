"""Images of all kinds and sizes through the upscaler: what comes out is what the generator gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.anytime import weights

from agm import files, load, paths
from agm.anytime import tiles
from agm.anytime.engine.engine import Engine
from agm.anytime.stepper import Plain, Twice, held_bytes
from agm.anytime.upscaler import TILE, AnytimeUpscaler
from agm.config import GeneratorConfig, RunConfig
from agm.data import to_tensor
from agm.data.images import halved
from agm.errors import AgmError
from agm.networks.generator import Generator
from agm.schedule import Schedule

ROOT = Path(__file__).parents[3]
RECORDED = sorted((ROOT / "results").glob("*/*/generator.safetensors"))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "generator.safetensors")


@pytest.fixture(scope="module")
def upscaler(path: Path) -> AnytimeUpscaler:
    return AnytimeUpscaler.load(path, timed=False)


def photograph(height: int = 20, width: int = 24) -> Any:
    return np.ascontiguousarray(skimage.data.chelsea()[100 : 100 + height, 150 : 150 + width])


def by_hand(path: Path, pixels: Any, statistics: Any = "iteration", schedule: str = "x--x (1) - xxxx (2)") -> list[Any]:
    """All images of `Generator.iterate`, (H, W, 3) uint8."""
    with torch.inference_mode():
        images = list(load(path).iterate(to_tensor(pixels[None]), schedule, statistics))
    return [(y[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for y in images]


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A weights file whose configuration says that the network was trained on turned crops."""
    return weights(tmp_path / "generator.safetensors", crops=8)


def test_a_second_look_is_the_mean_of_both(turned: Path) -> None:
    pixels, schedule = photograph(), Schedule.parse("x--x (1) - xxxx (2)")
    upscaler = AnytimeUpscaler.load(turned, timed=False)
    upscaler.stepper = Twice(Plain(load(turned), "iteration"), schedule)
    x = to_tensor(pixels[None])
    with torch.inference_mode():
        upright, upside_down = (load(turned)(view, schedule, "iteration")[-1] for view in (x, x.flip(2, 3)))
    both = (upright + upside_down.flip(2, 3))[0] / 2
    wanted = (both.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    streamed = list(upscaler.stream(pixels))
    assert [s.iteration for s in streamed] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(streamed[-1].image, wanted)
    assert streamed[-2].image.tobytes() != wanted.tobytes()  # type: ignore[union-attr]
    result = upscaler.upscale(pixels)
    np.testing.assert_array_equal(result.image, wanted)
    assert (result.iteration, len(result.durations), result.schedule) == (4, 4, schedule)
    np.testing.assert_array_equal(upscaler.upscale(pixels, iterations=3).image, streamed[3].image)
    with pytest.raises(AgmError, match="from 0 to 4"):
        upscaler.upscale(pixels, iterations=5)


def test_who_takes_a_second_look(path: Path, turned: Path) -> None:
    assert isinstance(AnytimeUpscaler.load(turned, timed=False).stepper, Twice)
    timed = AnytimeUpscaler.load(turned)
    assert timed.times.predict("again", 64) < 60
    for other in (path, turned):
        assert not isinstance(AnytimeUpscaler.load(other, timed=False, second_look=False).stepper, Twice)
    assert not isinstance(AnytimeUpscaler.load(path, timed=False).stepper, Twice)


@pytest.mark.parametrize("statistics", ["iteration", "shared"])
@pytest.mark.parametrize("schedule", [None, "---x (2) - xxxx (2)"])
def test_the_generators_own_bits(path: Path, statistics: Any, schedule: str | None) -> None:
    """With a schedule that is longer than training, too."""
    pixels = photograph()
    upscaler = AnytimeUpscaler.load(path, statistics, schedule, timed=False)
    upscaler.stepper = Plain(load(path), statistics)
    expected = by_hand(path, pixels, statistics, schedule or "x--x (1) - xxxx (2)")
    assert len({image.tobytes() for image in expected}) == len(expected)
    for n, image in enumerate(expected, 1):
        np.testing.assert_array_equal(upscaler.upscale(pixels, iterations=n).image, image)
    streamed = list(upscaler.stream(pixels))
    assert [s.iteration for s in streamed] == list(range(len(expected) + 1))
    for s, image in zip(streamed[1:], expected, strict=True):
        np.testing.assert_array_equal(s.image, image)
    bicubic = Image.fromarray(pixels).resize((48, 40), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(streamed[0].image, bicubic)
    assert [s.elapsed for s in streamed] == sorted(s.elapsed for s in streamed)
    np.testing.assert_array_equal(upscaler.upscale(pixels, iterations=0).image, bicubic)


def test_the_default_engine_gives_the_same_but_for_rounding(path: Path) -> None:
    upscaler = AnytimeUpscaler.load(path, timed=False)
    assert isinstance(upscaler.stepper, Engine)
    assert upscaler.tile == TILE
    image = np.asarray(upscaler.upscale(photograph()).image, dtype=int)
    assert np.abs(image - by_hand(path, photograph())[-1]).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (7, 4), (17, 31)])
def test_any_size(upscaler: AnytimeUpscaler, path: Path, size: tuple[int, int]) -> None:
    pixels = photograph(*size)
    result = upscaler.upscale(pixels)
    assert result.image.shape == (2 * size[0], 2 * size[1], 3)
    np.testing.assert_array_equal(result.image, by_hand(path, pixels)[-1])
    assert upscaler.upscale(Image.fromarray(pixels)).image.size == (2 * size[1], 2 * size[0])


def test_grey_is_the_mean_of_what_grey_colours_give(upscaler: AnytimeUpscaler) -> None:
    grey = photograph()[..., 0]
    colours = np.repeat(grey[..., None], 3, axis=2).astype(float) / 255
    expected = (upscaler.upscale(colours).image.mean(axis=2) * 255).round()
    np.testing.assert_allclose(upscaler.upscale(grey).image, expected, atol=1)
    assert upscaler.upscale(grey).image.shape == (40, 48)
    assert upscaler.upscale(grey[..., None]).image.shape == (40, 48, 1)


def test_sixteen_bits_stay(upscaler: AnytimeUpscaler) -> None:
    """More than 256 values come out, and they are those of floats."""
    fine = photograph().astype(np.uint16) * 257 + np.arange(24, dtype=np.uint16)[:, None] % 200
    for pixels in (fine, fine[..., 1]):
        image = upscaler.upscale(pixels).image
        assert image.dtype == np.uint16
        assert len(np.unique(image % 256)) > 200
        floats = upscaler.upscale(pixels / 65535).image
        assert floats.dtype == np.float64
        np.testing.assert_allclose(image / 65535, floats, atol=2e-5)
    eight = upscaler.upscale((fine // 257).astype(np.uint8)).image
    np.testing.assert_allclose(eight.astype(int) * 257, upscaler.upscale(fine // 257 * 257).image, atol=257)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 4])
def test_transparency(upscaler: AnytimeUpscaler, dtype: Any, channels: int) -> None:
    """Premultiplied resizing: what cannot be seen does not run into what can. The network adds to it what it adds."""
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    colour = (photograph()[..., : channels - 1] / 255 * top).astype(dtype)
    alpha = np.zeros((20, 24), dtype)
    alpha[4:15, 5:18], alpha[8:12, 9:14] = top, top // 2 if top > 1 else 0.5
    other = colour.copy()
    other[alpha == 0] = top  # what is invisible matters nowhere
    for iterations in (0, 3):
        image = upscaler.upscale(np.dstack([colour, alpha]), iterations=iterations).image
        assert (image.shape, image.dtype) == ((40, 48, channels), dtype)
        seen = image[..., -1] > 0
        again = upscaler.upscale(np.dstack([other, alpha]), iterations=iterations).image
        np.testing.assert_array_equal(image[seen], again[seen])
        if iterations == 0:
            large = resized(alpha / top)
            for i in range(channels - 1):
                wanted = resized(colour[..., i] / top * (alpha / top)) / np.where(large > 0.05, large, 1)
                difference = np.abs(image[..., i] / top - wanted.clip(0, 1))
                assert difference[large > 0.05].max() < 0.01
    opaque = np.dstack([colour, np.full_like(alpha, top)])
    np.testing.assert_array_equal(upscaler.upscale(opaque).image[..., :-1], upscaler.upscale(colour).image)


def resized(plane: Any) -> Any:
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((48, 40), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("colour", [(0, 255, 0), (200, 30, 30), (192, 192, 192), (108, 81, 50), (0, 0, 0)])
@pytest.mark.parametrize("size", [(1, 1), (5, 40), (33, 30)])
def test_a_tool_keeps_flat_colours_to_the_border(path: Path, colour: Any, size: tuple[int, int]) -> None:
    """Whatever the network, here one that makes grey of them."""
    tool = AnytimeUpscaler.load(path, timed=False, faithful=True, tile=48)
    flat = np.full((*size, 3), colour, np.uint8)
    assert np.abs(np.asarray(tool.upscale(flat).image, int) - colour).max() <= 1
    bare = AnytimeUpscaler.load(path, timed=False)
    assert np.abs(np.asarray(bare.upscale(flat).image, int) - colour).max() > 3


def test_a_tool_keeps_hue_and_grey(path: Path) -> None:
    tool = AnytimeUpscaler.load(path, timed=False, faithful=True)
    pixels = photograph(40, 48)
    result = np.asarray(tool.upscale(pixels).image, dtype=float)
    assert np.abs(result.mean((0, 1)) - pixels.mean((0, 1))).max() < 1
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    image = tool.upscale(Image.fromarray(grey)).image
    assert isinstance(image, Image.Image)
    assert image.mode == "RGB"
    assert (np.asarray(image) == np.asarray(image)[..., :1]).all()
    board = np.indices((40, 40)).sum(0).astype(np.uint8) % 2 * 255
    assert abs(np.asarray(tool.upscale(board).image, dtype=float).mean() - 127.5) < 1


@pytest.mark.parametrize(
    ("mode", "out"),
    [
        *(("RGB", "RGB"), ("L", "L"), ("1", "L"), ("LA", "LA"), ("RGBA", "RGBA"), ("P", "RGB"), ("CMYK", "RGB")),
        *(("I;16", "I;16"), ("I", "I;16"), ("F", "F"), ("YCbCr", "RGB"), ("La", "LA"), ("RGBa", "RGBA")),
    ],
)
def test_pillows_modes(upscaler: AnytimeUpscaler, mode: str, out: str) -> None:
    colour = Image.fromarray(photograph())
    if mode in ("I;16", "I", "F"):
        values = np.asarray(colour.convert("L")).astype(np.float32) / 255
        types = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
        image = Image.fromarray((values * (1 if mode == "F" else 60000)).astype(types[mode]))
    elif mode in ("La", "RGBa"):
        image = colour.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    else:
        image = colour.convert(mode)
    assert image.mode == mode
    result = upscaler.upscale(image).image
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (out, (48, 40))
    if mode in ("RGB", "RGBA", "YCbCr"):
        plain = np.asarray(upscaler.upscale(np.asarray(image.convert("RGB"))).image)
        np.testing.assert_array_equal(np.asarray(result)[..., :3], plain)


def test_a_transparent_palette(upscaler: AnytimeUpscaler) -> None:
    image = Image.fromarray(photograph()).quantize(8)
    image.info["transparency"] = 0
    result = upscaler.upscale(image).image
    assert isinstance(result, Image.Image)
    assert result.mode == "RGBA"
    assert result.getextrema()[3] == (0, 255)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("photo.jpg", "expected a Pillow image or a numpy array, got str"),
        (np.zeros((3, 3), bool), "got bool"),
        (np.zeros((3, 3), np.int64), "got int64"),
        (np.zeros(3, np.uint8), "expected \\(H, W\\)"),
        (np.zeros((3, 3, 5), np.uint8), "1 to 4 channels"),
        (np.zeros((0, 3), np.uint8), "3 x 0 pixels is empty"),
        (np.full((3, 3), 1.5), "must have values in \\[0, 1\\]"),
        (np.full((3, 3), np.nan), "must have values in \\[0, 1\\]"),
        (Image.fromarray(np.full((3, 3), 70000, np.int32)), "beyond 16 bits"),
        (Image.fromarray(np.full((3, 3), -1.0, np.float32)), "must have values in \\[0, 1\\]"),
    ],
)
def test_what_is_no_image(upscaler: AnytimeUpscaler, image: Any, words: str) -> None:
    with pytest.raises(AgmError, match=words):
        upscaler.upscale(image)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(tiles.LEAST, 150))
def test_tiles_give_every_pixel_once_and_see_enough(height: int, width: int, side: int) -> None:
    given_ = np.zeros((2 * height, 2 * width), int)
    for tile in tiles.cut(height, width, side):
        given_[tile.given] += 1
        for seen, gives, inside, length in zip(tile.seen, tile.given, tile.inside, (height, width), strict=True):
            first, last = gives.start // 2, gives.stop // 2
            assert (inside.start, inside.stop) == (2 * (first - seen.start), 2 * (last - seen.start))
            assert seen.start == max(first - tiles.OVERLAP, 0) or length <= side
            assert seen.stop == min(last + tiles.OVERLAP, length) or length <= side
            assert 0 <= seen.start <= first < last <= seen.stop <= length
            assert seen.stop - seen.start <= side
    assert (given_ == 1).all()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 100))
def test_groups_keep_all_tiles_in_order_and_within_the_limit(rows: list[int], limit: int) -> None:
    cut = [tiles.Tile(*[(slice(0, n), slice(0, 1))] * 3) for n in rows]
    found = list(tiles.groups(cut, limit))
    assert [tile for group in found for tile in group] == cut
    for group in found:
        assert group
        assert len(group) == 1 or sum(tile.pixels for tile in group) <= limit


@pytest.mark.skipif(not RECORDED, reason="no recorded weights")
def test_tiles_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's base on a real photograph: an overlap of 16 changes nothing that 8 bits could show."""
    pixels = np.ascontiguousarray(skimage.data.astronaut()[150:180, 180:250])
    untiled = AnytimeUpscaler.load(ROOT / "results" / "reduced" / "bddfafe1d837", timed=False)
    whole = np.asarray(untiled.upscale(pixels / 255, iterations=7).image)
    untiled.tile = 64
    differences = []
    for overlap in (tiles.OVERLAP, 3):
        monkeypatch.setattr(tiles, "OVERLAP", overlap)
        tiled = np.asarray(untiled.upscale(pixels / 255, iterations=7).image)
        differences.append(np.abs(tiled - whole).max() * 255)
    assert differences[0] < 0.01
    assert differences[1] > 0.5


@pytest.mark.skipif(not RECORDED, reason="no recorded weights")
def test_the_default_network_leaves_no_seams_and_no_tint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGM_HOME", str(ROOT))
    pixels = np.ascontiguousarray(skimage.data.astronaut()[150:180, 180:250])
    upscaler = AnytimeUpscaler.load(timed=False)
    assert isinstance(upscaler.stepper, Twice)
    assert isinstance(upscaler.stepper.stepper, Engine)
    assert upscaler.tile >= 256
    whole = np.asarray(upscaler.upscale(pixels / 255).image)
    flat = upscaler.upscale(np.full((20, 30, 3), (0, 255, 0), np.uint8)).image
    upscaler.tile = 64
    tiled = np.asarray(upscaler.upscale(pixels / 255).image)
    assert np.abs(tiled - whole).max() * 255 < 0.5
    assert np.abs(np.asarray(flat).astype(int) - (0, 255, 0)).max() <= 1


@pytest.mark.skipif(not RECORDED, reason="no recorded weights")
@pytest.mark.parametrize("corner", [(0, 0), (150, 180), (300, 60)])
def test_the_default_network_is_better_than_bicubic_at_the_border_too(
    corner: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PSNR of the four outermost pixels on each side, after every iteration."""
    monkeypatch.setenv("AGM_HOME", str(ROOT))
    y, x = corner
    high = np.ascontiguousarray(skimage.data.astronaut()[y : y + 96, x : x + 120])
    frame = np.ones(high.shape[:2], bool)
    frame[4:-4, 4:-4] = False
    found = []
    for streamed in AnytimeUpscaler.load(timed=False, faithful=True).stream(Image.fromarray(halved(high))):
        error = np.asarray(streamed.image).astype(float) - high
        found.append(-10 * np.log10((error[frame] ** 2).mean()))
    assert min(found[1:]) > found[0] + 0.5, found


def test_groups_and_tiles_give_what_one_group_gives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler = AnytimeUpscaler.load(path, tile=48, timed=False)
    pixels = photograph(60, 70)
    one = list(upscaler.stream(pixels))
    monkeypatch.setattr(upscaler, "group_pixels", 3000)
    several = list(upscaler.stream(pixels))
    assert [s.iteration for s in one] == [0, 1, 2, 3]
    assert [s.iteration for s in several] == [0, 3]
    np.testing.assert_array_equal(one[-1].image, several[-1].image)
    np.testing.assert_array_equal(one[-1].image, upscaler.upscale(pixels).image)


def test_too_small_a_tile(path: Path) -> None:
    with pytest.raises(AgmError, match="tile=40: must be at least 48 pixels"):
        AnytimeUpscaler.load(path, tile=40)


def test_memory_between_iterations(path: Path) -> None:
    """What `held_bytes` says is what a group really holds: states, features, the last images and the new ones."""
    for layers in ("nnnn", "rnrn", "rrrr"):
        file = weights(path.with_name(f"{layers}.safetensors"), layers)
        upscaler = AnytimeUpscaler.load(file, timed=False)
        progress = upscaler.stepper.start(torch.rand(1, 3, 8, 12))
        most = 0
        for mask in upscaler.schedule:
            image = upscaler.stepper.step(progress, mask)
            held = [progress.context.features, image, image, *_tensors(progress.states), *_tensors(progress.share)]
            most = max(most, sum(t.nbytes for t in held))
        assert 0.8 < most / (held_bytes(upscaler.config, [upscaler.schedule]) * 8 * 12) <= 1


@pytest.mark.parametrize("layers", ["nnnn", "rnrn", "rrrr"])
def test_memory_between_iterations_on_the_light_base(layers: str) -> None:
    engine, schedule = Engine(Generator(GeneratorConfig(layers, 16, base="light"))), Schedule.parse("---x - xxxx (2)")
    progress, most = engine.start(torch.rand(1, 3, 8, 12)), 0
    for mask in schedule:
        image = engine.step(progress, mask)
        held = [*progress.context, progress.previous, image, *_tensors(progress.states), *_tensors(progress.share)]
        most = max(most, sum(t.nbytes for t in held))
    assert 0.8 < most / (held_bytes(engine.config, [schedule]) * 8 * 12) <= 1


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    return [value] if isinstance(value, torch.Tensor) else []


MEASURE = """
import resource, sys
import numpy as np, torch
from agm.anytime.upscaler import AnytimeUpscaler
from agm.anytime import upscaler
torch.set_num_threads(1)
upscaler.GROUP_BYTES = 16 * 2**20
it = AnytimeUpscaler.load(sys.argv[1], tile=64, timed=False)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
it.upscale(np.zeros((130, 64, 3), np.uint8))
before = peak()
it.upscale(np.zeros((int(sys.argv[2]), 800, 3), np.uint8), iterations=1)
print(peak() - before)
"""


def test_memory_is_bounded(path: Path) -> None:
    """A large image takes 40 bytes a pixel beyond what the tiles take; untiled it would be 700 for this network."""
    run = [sys.executable, "-c", MEASURE, str(path), "600"]
    more = float(subprocess.run(run, capture_output=True, text=True, check=True, timeout=200).stdout)
    pixels = 600 * 800 / 2**20
    assert more < 40 * pixels + 16 + 10


def test_a_model_by_file_folder_and_id(home: Path) -> None:
    own = weights(home / "build" / "runs" / "abc" / paths.WEIGHTS)
    recorded = weights(home / "results" / "cpu" / "def" / paths.WEIGHTS)
    assert paths.weights(own) == paths.weights(own.parent) == paths.weights("abc") == own
    assert paths.weights("def") == recorded
    for name in ("nosuch", home, home / "x.safetensors", "../runs/abc/.."):
        with pytest.raises(AgmError, match="no weights there"):
            paths.weights(name)
    with pytest.raises(AgmError, match=f"{paths.DEFAULT}: no weights there; expected"):
        paths.weights()


@pytest.mark.skipif(not RECORDED, reason="no recorded weights")
def test_the_recorded_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGM_HOME", str(ROOT))
    upscaler = AnytimeUpscaler.load(timed=False)
    assert paths.weights() in RECORDED
    config = RunConfig.from_dict(files.read_tensors(paths.weights())[1]["config"])
    assert str(upscaler.schedule) == config.training.schedule


def test_what_does_not_fit_a_network(path: Path, tmp_path: Path) -> None:
    with pytest.raises(AgmError, match="network has"):
        AnytimeUpscaler.load(path, schedule="rrrr (2)")
    with pytest.raises(AgmError, match="choose iteration, precise or shared"):
        AnytimeUpscaler.load(path, "batch")
    with pytest.raises(AgmError, match=r"unknown statistics 'shard'; did you mean 'shared'\?"):
        AnytimeUpscaler.load(path, "shard")  # type: ignore[arg-type]
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AgmError, match="damaged"):
        AnytimeUpscaler.load(tmp_path / "cut.safetensors")
