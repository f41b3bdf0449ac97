"""What runs in a process of its own, to be killed there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from agm.data.official import journal
from agm.data.official.prepare import prepare


def prepare_slowly(source: Path, out: Path) -> None:
    original = journal.Journal.add

    def add(*arguments: Any) -> None:
        original(*arguments)
        time.sleep(0.01)

    journal.Journal.add = add  # type: ignore[method-assign]
    prepare("cars", source, out)
