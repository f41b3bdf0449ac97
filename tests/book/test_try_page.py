"""The page "Try it": what the browser computes is what Python computes, and what goes wrong is said.

The page is taken from book/try.md without the book around it, and lies in a folder with nothing but what it loads.
"""

from __future__ import annotations

import gzip
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.metrics
import torch
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from support import axe
from support.browser import complaints, requested, served
from support.checkout import ROOT
from torch import Tensor

from agm import Schedule, metrics, runs
from agm.anytime.latency import Span, Times
from agm.anytime.stepper import Plain, iterate
from agm.data.images import Pixels, read_image, resize, square
from agm.paths import weights
from workflow import try_page

MODELS = {model.name: model for model in try_page.models()}
SMALLEST = "rrrr-NOAEL-16"
MISSING = "rrrr-A-16"
TOLERANCE = 1e-3
OLD = "delete globalThis.WebAssembly;"
QUIET = "Object.defineProperty(navigator, 'connection', { value: { saveData: true }, configurable: true });"
"""A reader who wants nothing to be loaded before it is asked for."""
STOPPED_CLOCK = "performance.now = () => 0;"
STEADY_CLOCK = "let ticks = 0; const clock = () => (ticks += 5);"
"""Every look at the clock is 5 ms after the one before."""


def page() -> str:
    """What book/try.md has in HTML."""
    raw = re.search(r"```{raw} html\n(.*?)```", (ROOT / "book" / "try.md").read_text(), re.DOTALL)
    assert raw is not None
    head = '<meta charset="utf-8"><title>Try it</title><link rel="icon" href="data:,">'
    head += '<link rel="stylesheet" href="_static/try/try.css"><style>* { box-sizing: border-box; }</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main>{raw[1]}</main></body></html>'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "try.html").write_text(page())
    shutil.copytree(ROOT / try_page.STATIC / "try", folder / "_static" / "try")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("AGM_HOME", str(ROOT))
        packed = folder / "_static" / "try_packed"
        try_page.deliver(packed, "runtime", try_page.runtime())
        try_page.deliver(packed, "index", try_page.index())
        for name in MODELS.keys() - {MISSING}:
            try_page.deliver(packed, name, try_page.exported(MODELS[name]))
    return folder


@pytest.fixture(scope="module")
def http(site: Path) -> Iterator[str]:
    with served(site) as address:
        yield f"{address}/try.html"


@pytest.fixture(scope="module")
def disk(site: Path) -> str:
    return (site / "try.html").as_uri()


@pytest.fixture
def spoilt(browser: Any) -> Iterator[Any]:
    """Call it with a script that comes before the page's own."""
    added = []

    def spoil(script: str) -> None:
        command = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        added.append(command["identifier"])

    yield spoil
    for identifier in added:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier})


@pytest.fixture(autouse=True)
def quiet(spoilt: Any) -> None:
    spoilt(QUIET)


def visit(browser: Any, url: str) -> None:
    """Open the page and wait until something can be chosen."""
    browser.get(url)
    wait(browser, lambda: text(browser, "status") or text(browser, "missing"))


def wait(browser: Any, condition: Any) -> None:
    WebDriverWait(browser, 120, 0.05).until(lambda _: condition())


def text(browser: Any, name: str) -> str:
    return str(browser.find_element(By.ID, f"try-{name}").get_attribute("textContent"))


def choose(browser: Any, **values: str) -> None:
    script = """
        const choice = document.forms['try-form'].elements[arguments[0]];
        choice.value = arguments[1];
        choice.dispatchEvent(new Event('change'));
    """
    for name, value in values.items():
        browser.execute_script(script, name, value)


def busy(browser: Any) -> bool:
    return bool(browser.find_element(By.ID, "try-choices").get_property("disabled"))


def press_run(browser: Any) -> None:
    browser.find_element(By.CSS_SELECTOR, "#try-form [type=submit]").click()


def run(browser: Any) -> str:
    """Press the button; what the page says at the end."""
    press_run(browser)
    wait(browser, lambda: not busy(browser))
    return text(browser, "status")


def arrays(browser: Any, expression: str) -> np.ndarray:
    """A list of Float32Arrays in the page: (N, 3, S, S)."""
    script = f"""
        const bytes = new Uint8Array(await new Blob({expression}).arrayBuffer());
        let text = '';
        for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
        return btoa(text);
    """
    packed = browser.execute_async_script(f"const done = arguments[0]; (async () => {{ {script} }})().then(done);")
    values = np.frombuffer(b64decode(packed), "<f4")
    number = browser.execute_script(f"return {expression}.length")
    side = round((values.size / number / 3) ** 0.5)
    return values.reshape(number, 3, side, side)


def tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255  # (S, S, 3) -> (1, 3, S, S)


def expected(name: str, source: Pixels, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Original (1, 3, S, S), bicubic, and every iteration's image (T, 3, S, S), by the library."""
    high = resize(source, size)
    low = resize(high, size // 2)
    generator, config = runs.load_trained(MODELS[name].weights)
    images = list(iterate(Plain(generator), Schedule.parse(config.training.schedule), tensor(low)))
    return tensor(high), tensor(resize(low, size)), torch.cat(images)


def photograph(file: str) -> Pixels:
    path = Path(skimage.__file__).parent / "data" / file
    return square(read_image(path, file), try_page.SIDE)


def same_as_python(browser: Any, name: str, source: Pixels, size: int) -> None:
    """Original and bicubic image to the bit, iterations and qualities within a thousandth."""
    high, bicubic, images = expected(name, source, size)
    original, upsampled = arrays(browser, "[agm.latest.picture.high, agm.latest.picture.bicubic]")
    np.testing.assert_array_equal((original * 255).round(), (high[0] * 255).round())
    np.testing.assert_array_equal((upsampled * 255).round(), (bicubic[0] * 255).round())
    found = arrays(browser, "agm.latest.points.map(point => point.image)")
    assert images.std() > 0.05
    np.testing.assert_allclose(found, images, rtol=0, atol=TOLERANCE)
    qualities = browser.execute_script("""
        const { picture, points } = agm.latest;
        return [picture.values, ...points].map(({ psnr, ssim }) => [psnr, ssim]);
    """)
    wanted = [[metrics.psnr(i, high[0]).clamp(max=100), metrics.ssim(i, high[0])] for i in (bicubic[0], *images)]
    np.testing.assert_allclose(qualities, np.array(wanted, dtype=float), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("source", "target"), [(64, 32), (32, 64), (128, 64), (301, 128), (37, 64), (1, 64), (6, 7)])
def test_resampling_is_pillows(browser: Any, http: str, source: int, target: int) -> None:
    """Noise of black and white has the kernel overshoot."""
    pixels = np.random.default_rng(source).choice(np.array([0, 128, 255], np.uint8), (source, source, 3))
    visit(browser, http)
    script = "return [...agm.resample.resize(Uint8ClampedArray.from(arguments[0]), arguments[1], arguments[2])]"
    found = browser.execute_script(script, pixels.ravel().tolist(), source, target)
    wanted = Image.fromarray(pixels).resize((target, target), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.array(found).reshape(target, target, 3), np.asarray(wanted))


def test_metrics_are_scikit_images(browser: Any, http: str) -> None:
    random = np.random.default_rng(0)
    x = resize(photograph("coffee.png"), 48) / 255
    y = (x + random.normal(0, 0.1, x.shape)).clip(0, 1)
    visit(browser, http)
    script = """
        const [x, y] = [arguments[0], arguments[1]].map(values => Float32Array.from(values));
        return [agm.metrics.psnr(x, y), agm.metrics.ssim(x, y), agm.metrics.psnr(x, x), agm.metrics.ssim(x, x)];
    """
    found = browser.execute_script(script, *(image.transpose(2, 0, 1).ravel().tolist() for image in (x, y)))
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = skimage.metrics.structural_similarity(x, y, channel_axis=2, data_range=1, **wang)
    psnr = skimage.metrics.peak_signal_noise_ratio(x, y, data_range=1)
    np.testing.assert_allclose(found, [psnr, ssim, 100, 1], atol=1e-4)


def test_what_is_beyond_black_and_white_is_clamped_before_it_is_measured(browser: Any, http: str) -> None:
    visit(browser, http)
    script = "return [-1, 2].map(v => agm.metrics.psnr(Float32Array.of(v, v, v), Float32Array.of(0.5, 0.5, 0.5)))"
    assert browser.execute_script(script) == pytest.approx([20 * np.log10(2)] * 2)


def test_times_are_predicted_as_by_the_library(browser: Any, http: str, site: Path) -> None:
    """From one measured size to others, with what was observed since."""
    durations = [10.0, 12.0, 11.0, 30.0]
    known = Times({"x": {256: Span(*np.quantile(durations, (0.5, 0.95, 0.99)))}})
    visit(browser, http)
    script = f"""
        {(site / "_static/try/times.mjs").read_text()}
        arguments[0].forEach(ms => times.observe('x', 256, ms));
        times.ratios = [];
        return [64, 256, 1024].map(n => times.predict('x', n)).concat(times.predict('y', 64) === Infinity);
    """
    found = browser.execute_script(script, durations)
    assert found == [pytest.approx(known.predict("x", 256 * factor)) for factor in (1, 1, 4)] + [True]
    known.observe("x", 1024, 400.0)
    slower = browser.execute_script(
        script.replace("times.ratios = [];", "times.ratios = [arguments[1]];"), durations, 400 / (11.5 * 4)
    )
    assert slower[0] == pytest.approx(known.predict("x", 64))
    assert slower[0] > 2 * found[0]


@pytest.mark.parametrize(
    ("name", "picture", "size"),
    [
        (SMALLEST, 0, 64),
        ("nnnr-A-64", 1, 64),
        ("default", 2, 64),
        ("default", 3, 256),
    ],
)
@pytest.mark.parametrize("way", ["http", "disk"])
def test_the_browser_computes_what_python_computes(
    browser: Any, request: pytest.FixtureRequest, way: str, name: str, picture: int, size: int
) -> None:
    address = request.getfixturevalue(way)
    requested(browser)
    complaints(browser)
    visit(browser, address)
    browser.find_elements(By.CSS_SELECTOR, "#try-pictures img")[picture].click()
    wait(browser, lambda: try_page.PICTURES[picture].title in text(browser, "status"))
    choose(browser, size=str(size), network=name)
    count = MODELS[name].run.generator.iterations
    assert f"All {count} iterations were done" in run(browser)
    same_as_python(browser, name, photograph(try_page.PICTURES[picture].file), size)
    assert len(browser.find_elements(By.CSS_SELECTOR, "#try-rows tr")) == count
    assert len(browser.find_elements(By.CSS_SELECTOR, ".try-curve circle")) == count
    folder = address.removesuffix("try.html")
    assert {url for url in requested(browser) if not url.startswith((folder, "data:", "blob:"))} == set()
    assert complaints(browser) == []


def test_what_is_shown_is_what_was_computed(browser: Any, http: str) -> None:
    """Table, captions and verdict against the numbers; a click shows another iteration."""
    visit(browser, http)
    choose(browser, size="64", network=SMALLEST)
    verdict = run(browser)
    points = browser.execute_script("return agm.latest.points.map(({ psnr, ssim, ms }) => ({ psnr, ssim, ms }))")
    bicubic = browser.execute_script("return agm.latest.picture.values.psnr")
    browser.find_element(By.TAG_NAME, "summary").click()
    rows = [row.text.split() for row in browser.find_elements(By.CSS_SELECTOR, "#try-rows tr")]
    assert [row[1] for row in rows] == ["xxxx"] * 10
    assert [float(row[4]) for row in rows] == [pytest.approx(point["psnr"], abs=0.006) for point in points]
    assert [float(row[5].replace("−", "-")) for row in rows] == [
        pytest.approx(point["psnr"] - bicubic, abs=0.006) for point in points
    ]
    gain = points[-1]["psnr"] - bicubic
    told = f"{gain:.2f} dB better than bicubic" if gain >= 0 else f"Bicubic is better, by {-gain:.2f} dB"
    assert told in verdict
    buttons = browser.find_elements(By.CSS_SELECTOR, "#try-strip button")
    buttons[1].click()
    assert [button.get_attribute("aria-pressed") for button in buttons] == ["false", "true"] + ["false"] * 8
    label = browser.find_element(By.ID, "try-network").get_attribute("aria-label")
    assert label == f"Network, iteration 2: {points[1]['psnr']:.2f} dB, SSIM {points[1]['ssim']:.3f}"
    assert axe.violations(browser) == []


SHIFTS = """
    globalThis.shifts = [];
    new PerformanceObserver(list => shifts.push(...list.getEntries().map(entry => entry.value)))
        .observe({ type: "layout-shift" });
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_with_a_run_whose_every_image_is_better(
    browser: Any, http: str, spoilt: Any, width: int
) -> None:
    """Of the default network, beside bicubic, without a click; nothing moves meanwhile, and the line can be dragged."""
    spoilt("delete navigator.connection;")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics_of(width))
    try:
        visit(browser, http)
        browser.execute_script(SHIFTS)
        wait(browser, lambda: "iterations were done" in text(browser, "status"))
        values = browser.execute_script("return [agm.latest.picture.values, ...agm.latest.points].map(p => p.psnr)")
        assert len(values) == 1 + MODELS["default"].run.generator.iterations
        assert values == sorted(values)
        assert values[1] > values[0] + 0.5
        assert browser.execute_script("return shifts") == []
        boxes = [browser.find_element(By.ID, f"try-{name}").rect for name in ("network", "bicubic")]
        assert boxes[0] == boxes[1]
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        slider = browser.find_element(By.ID, "try-slider")
        for _ in range(10):
            slider.send_keys(Keys.ARROW_RIGHT)
        clip = "return getComputedStyle(document.getElementById('try-network')).clipPath"
        assert browser.execute_script(clip) == "inset(0px 0px 0px 60%)"
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def metrics_of(width: int) -> dict[str, Any]:
    return {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}


@pytest.fixture(scope="module")
def steady(site: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page, with a clock in its worker that can be foretold."""
    folder = tmp_path_factory.mktemp("steady") / "site"
    shutil.copytree(site, folder)
    path = folder / "_static" / "try_packed" / "runtime.mjs"
    script = path.read_text().replace("performance.now()", "clock()")
    path.write_text(script.replace('"worker":"', f'"worker":"{STEADY_CLOCK}', 1))
    return (folder / "try.html").as_uri()


@pytest.mark.parametrize(
    ("deadline", "reached", "told"),
    [
        # A warm-up of 5 ms for 16 x 16 makes 5.5 x 4 = 22 ms for 32 x 32; what was measured there makes 5.5.
        # Loading is not counted, and the clock goes on at every look: iteration t begins 10 + 20 (t - 1) ms after the
        # start.
        (31, 0, "Returned: bicubic upsampling. Even the first iteration, about 22 ms, would not have been over"),
        (33, 1, "Returned: iteration 1 of 10, after 20 ms. The next one, about 22 ms, would not have been over"),
        (100, 5, "Returned: iteration 5 of 10, after 100 ms. The next one, about 5.5 ms, would not have been over"),
        (196, 10, "All 10 iterations were done in 200 ms. It was late by 4.0 ms."),
    ],
)
def test_a_deadline(browser: Any, steady: str, spoilt: Any, deadline: int, reached: int, told: str) -> None:
    spoilt(STOPPED_CLOCK)
    visit(browser, steady)
    choose(browser, size="64", network=SMALLEST, deadline=str(deadline))
    assert run(browser).startswith(told)
    assert browser.execute_script("return agm.latest.points.length") == reached
    assert browser.find_element(By.ID, "try-network").is_displayed() == (reached > 0)


def test_it_can_be_stopped(browser: Any, http: str) -> None:
    visit(browser, http)
    choose(browser, size="256", network="nnnr-A-64")  # half a minute in all
    press_run(browser)
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#try-strip button"))
    browser.find_element(By.ID, "try-stop").click()
    wait(browser, lambda: not busy(browser))
    assert re.match(r"Stopped after \d of 10 iterations\.", text(browser, "status"))
    choose(browser, size="64", network=SMALLEST)
    assert "All 10 iterations were done" in run(browser)


def test_it_can_be_stopped_while_a_network_is_loading(browser: Any, http: str) -> None:
    visit(browser, http)
    choose(browser, size="64", network=SMALLEST)
    browser.execute_script("document.querySelector('#try-form [type=submit]').click(); agm.view.get('stop').click()")
    wait(browser, lambda: not busy(browser))
    assert text(browser, "status") == "Stopped before the first iteration."
    assert "All 10 iterations were done" in run(browser)


def drop(browser: Any, path: Path, told: str) -> str:
    """Choose a file; what the page says then."""
    browser.find_element(By.ID, "try-file").send_keys(str(path))
    wait(browser, lambda: told in text(browser, "status"))
    return text(browser, "status")


@pytest.mark.parametrize("shape", [(60, 301, 3), (140, 90, 3), (1, 1, 3), (33, 17)])
def test_a_picture_of_ones_own(browser: Any, http: str, tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Of any shape, colour or grey: its middle square, as the library cuts it."""
    Image.fromarray(np.random.default_rng(1).integers(0, 256, shape, np.uint8)).save(tmp_path / "own.png")
    visit(browser, http)
    choose(browser, size="64", network=SMALLEST)
    said = drop(browser, tmp_path / "own.png", "own.png, 64 × 64")
    assert ("enlarged" in said) == (min(shape[:2]) < 64)
    run(browser)
    image = read_image(tmp_path / "own.png", "own.png")
    same_as_python(browser, SMALLEST, square(image, min(image.size)), 64)
    assert not browser.find_elements(By.CSS_SELECTOR, "#try-pictures :checked")


def test_a_picture_stands_upright_and_on_white(browser: Any, http: str, tmp_path: Path) -> None:
    """A telephone's picture says in its EXIF data how to turn it; transparency is white, as in the library."""
    lying = Image.new("RGB", (64, 64), "red")
    lying.paste("blue", (0, 0, 64, 32))
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned clockwise: what is above comes to the right
    lying.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "nothing.png")
    visit(browser, http)
    choose(browser, size="64", network=SMALLEST)
    drop(browser, tmp_path / "turned.jpg", "turned.jpg, 64 × 64")
    run(browser)
    high = arrays(browser, "[agm.latest.picture.high]")[0]
    assert high[2, :, 40:].mean() > 0.95 > 0.05 > high[2, :, :24].mean()
    drop(browser, tmp_path / "nothing.png", "nothing.png, 64 × 64")
    run(browser)
    assert (arrays(browser, "[agm.latest.picture.high]") == 1).all()


def test_what_is_no_picture_is_refused(browser: Any, http: str, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("Dear reader,")
    visit(browser, http)
    said = drop(browser, tmp_path / "letter.png", "letter.png is not")
    assert said == "letter.png is not a picture that this browser can read. JPEG, PNG and WebP work."
    choose(browser, size="64", network=SMALLEST)
    assert "All 10 iterations were done" in run(browser)  # on the picture before


def test_without_webassembly(browser: Any, http: str, spoilt: Any) -> None:
    spoilt(OLD)
    visit(browser, http)
    assert "cannot run the networks: WebAssembly, which runs the networks, is missing" in text(browser, "missing")
    assert browser.find_element(By.ID, "try-missing").is_displayed()
    assert not browser.find_element(By.ID, "try-app").is_displayed()


def test_without_javascript(browser: Any, http: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(http)
        assert "JavaScript, which is switched off" in " ".join(browser.find_element(By.TAG_NAME, "main").text.split())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_what_cannot_be_loaded_is_named(browser: Any, http: str) -> None:
    """A network that is not there, then one that is."""
    visit(browser, http)
    choose(browser, size="64", network=MISSING)
    assert run(browser) == f"That did not work: the file {MISSING}.mjs could not be loaded."
    choose(browser, network=SMALLEST)
    assert "All 10 iterations were done" in run(browser)


def test_what_fails_in_the_worker_is_said(browser: Any, http: str) -> None:
    """A network that the worker does not have; the next run has a new worker."""
    visit(browser, http)
    choose(browser, size="64", network=SMALLEST)
    browser.execute_script("""
        globalThis.real = agm.engine.run;
        agm.engine.run = (request, onImage) => real({ ...request, name: "none" }, onImage);
    """)
    assert run(browser).startswith("That did not work: ")
    browser.execute_script("agm.engine.run = real")
    assert "All 10 iterations were done" in run(browser)


def test_all_that_is_offered_is_recorded() -> None:
    assert [model.name for model in MODELS.values() if not model.weights.is_file()] == []
    assert list(MODELS) == ["default", "nnnr-A-64", "rrrr-NOAEL-16", "rrrr-A-16"]
    assert MODELS["default"].weights == weights()
    assert {Path(path).stem for path in try_page.outputs()} == {"runtime", "index", *MODELS}


def test_the_runtime_is_the_one_that_is_named() -> None:
    """By the sums in its README."""
    readme = (ROOT / try_page.STATIC / "ort" / "README.txt").read_text()
    script, wasm = ((ROOT / path).read_bytes() for path in try_page.RUNTIME)
    for content in (script, gzip.decompress(wasm)):
        assert sha256(content).hexdigest() in readme
