"""YAML files that people write: profiles, cards. Short ones, without aliases, by which a few lines mean gigabytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from agm.errors import AgmError

LIMIT = 64 * 1024
"""Bytes of a file; a card has about 2,000, and PyYAML reads 50,000 in a second."""
DIGITS = 40
"""Letters of a whole number."""


class _Loader(yaml.SafeLoader):
    """Refuses aliases, and numbers so long that Python would not print them."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not known here; write it out")
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int") and len(node.value) > DIGITS:
            raise yaml.YAMLError(f"a whole number of {len(node.value):,} letters")
        return node


def read(path: Path) -> Any:
    """Raises FileNotFoundError if it is missing, AgmError if it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(LIMIT + 1)
        if len(text) > LIMIT:
            raise AgmError(f"{path}: more than {LIMIT:,} bytes, refused")
        return _Loader(text).get_single_data()
    except (FileNotFoundError, AgmError):
        raise
    # Besides its own errors, PyYAML raises whatever a wrong tag leads to.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError, OSError) as error:
        raise AgmError(f"{path}: cannot be read as YAML ({error or type(error).__name__})") from None
