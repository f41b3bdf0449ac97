"""A little of what `python tests/fuzz.py` does for minutes: always the same inputs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.fuzz.check import PEAK, taken
from support.fuzz.targets import TARGETS

pytestmark = pytest.mark.skipif(not PEAK.exists(), reason="memory is measured by Linux's /proc")


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_taken_or_refused_in_one_line(name: str) -> None:
    @settings(suppress_health_check=list(HealthCheck))
    @given(TARGETS[name].inputs)
    def attempt(value: Any) -> None:
        taken(TARGETS[name], value)

    attempt()
