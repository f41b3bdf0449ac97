"""The command line: options for a tiny run, and what a refusal looks like."""

from __future__ import annotations

from typing import Any

TINY = [
    *("--profile", "smoke", "--device", "cpu", "--layers", "rnnr", "--schedule", "xxxx (2)", "--epochs", "1"),
    *("--set", "iterations=2", "--set", "validation_images=4", "--set", "test_images=4"),
]
"""The options that make `tiny()`."""


def refused(result: Any, *words: str) -> None:
    """Exit code 1, one line on standard error that says what is wrong, nothing else."""
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("agm: ")
    assert result.err.count("\n") == 1
    for word in words:
        assert word in result.err
