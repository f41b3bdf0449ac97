"""axe-core, which finds what keeps people from reading a page: https://github.com/dequelabs/axe-core"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

GRAVE = ("serious", "critical")


@cache
def _script() -> str:
    spec = find_spec("axe_selenium_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(browser: Any, *rules: str) -> list[str]:
    """What is seriously wrong with the page that the browser shows, by these rules or else by all."""
    browser.execute_script(_script())
    chosen = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": list(rules)} if rules else {})
    run = "const done = arguments[1]; axe.run(document, arguments[0]).then(done, error => done(String(error)));"
    found = browser.execute_async_script(run, chosen)
    assert isinstance(found, dict), found
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]
