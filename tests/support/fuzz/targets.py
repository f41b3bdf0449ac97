"""Everything that reads what a user brings, by name."""

from __future__ import annotations

from support.fuzz import results, sources, texts

TARGETS = sources.TARGETS | texts.TARGETS | results.TARGETS
