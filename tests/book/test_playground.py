"""The playground in a real JupyterLab, in a browser: it runs to its end, and a slider changes the picture."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from support.checkout import BIN, ROOT, make

WAIT = 400
"""Seconds for anything to happen; it trains a network of profile smoke, on machines that may be busy."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab with a copy of the notebook at profile smoke, and a project folder of its own."""
    if importlib.util.find_spec("ipywidgets") is None or not (BIN / "jupyter-lab").exists():
        pytest.skip("no JupyterLab with ipywidgets here")
    root = tmp_path_factory.mktemp("lab")
    notebook = (ROOT / "notebooks" / "playground.ipynb").read_text()
    assert 'profile = \\"quick\\"' in notebook
    (root / "playground.ipynb").write_text(notebook.replace('profile = \\"quick\\"', 'profile = \\"smoke\\"'))
    (root / "results").symlink_to(ROOT / "results")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {name: str(root / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = os.environ | folders | {"AGM_HOME": str(root), "OMP_NUM_THREADS": "1"}
    command = shlex.split(make("--dry-run", "lab").stdout)[:-1]
    options = [f"--notebook-dir={root}", "--no-browser", "--allow-root", f"--port={port}"]
    options += ["--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.extension_manager=readonly"]
    with (root / "log").open("w") as log:
        server = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(f"{address}/api/status"), "JupyterLab to start")
        listening = {c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        yield address
    finally:
        server.terminate()
        server.wait(60)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return bool(json.load(reply))
    except OSError:
        return False


def wait_for(condition: Any, what: str) -> Any:
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {WAIT} seconds for {what}")


def menu(browser: Any, name: str) -> Any:
    """The entry of an open menu."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.lm-Menu-item')]"
        ".find(item => item.innerText.trim().startsWith(arguments[0])) || null",
        name,
    )


def pictures(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('.jp-OutputArea img.widget-image, .widget-image')].map(i => i.src)"
    return list(browser.execute_script(script))


def status(browser: Any) -> str:
    script = "const s = document.querySelector('.agm-status'); return s ? s.innerText : ''"
    return str(browser.execute_script(script))


def test_the_board_in_jupyterlab(lab: str, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.set_window_size(1300, 2400)
    browser.get(f"{lab}/lab/tree/playground.ipynb?reset")
    idle = "return !!document.querySelector('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]')"
    wait_for(lambda: browser.execute_script(idle), "the kernel")
    time.sleep(3)  # a cell that is run within two seconds is lost

    browser.find_element(By.XPATH, "//*[contains(@class,'lm-MenuBar-itemLabel') and text()='Run']").click()
    wait_for(lambda: menu(browser, "Run All Cells"), "the menu").click()
    wait_for(lambda: len(pictures(browser)) == 2 and " ms (run " in status(browser), "the board")
    counts = (
        "return [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.innerText.trim())"
        ".filter(text => text.includes('*') || text === '[ ]:').length"
    )
    wait_for(lambda: browser.execute_script(counts) == 0, "all cells to have run")
    errors = browser.find_elements(By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.error']")
    assert [error.text for error in errors] == []

    before, said = pictures(browser), status(browser)
    handles = browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea .widget-slider .noUi-handle")
    assert len(handles) >= 4  # ORL, AEL, deadline, photograph
    browser.execute_script("arguments[0].focus()", handles[2])
    for _ in range(12):
        handles[2].send_keys(Keys.ARROW_LEFT)
    wait_for(lambda: status(browser) != said and pictures(browser)[1] != before[1], "the deadline to change")
    earlier = pictures(browser)
    handles[3].send_keys(Keys.ARROW_RIGHT)
    wait_for(lambda: pictures(browser)[0] != earlier[0], "another photograph")
