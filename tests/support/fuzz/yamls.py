"""YAML of which a short piece means very much, or nothing."""

from __future__ import annotations

import itertools
import string

import yaml
from hypothesis import strategies as st

from support.fuzz.damage import Contents, altered, spoilt

LETTERS = string.ascii_lowercase[:13]
LAUGHS = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise(LETTERS))
MERGES = "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in itertools.pairwise(LETTERS))
YAML = (
    b"name: x\ngroups_leak: !!bool x\n",
    b"name: !!int ''\n",
    b"name: !!timestamp x\n",
    b"name: &a [x, *a]\n",
    f"a: &a [x]\n{LAUGHS}name: *m\n".encode(),
    f"a: &a {{x: y}}\n{MERGES}".encode(),
)
"""What is long when it is read, and what its tags say it is not."""
letters = st.text(st.sampled_from(string.ascii_lowercase + " \n\t:-[]{}&*!|>'\"#%@,?~<0123.9e+"), max_size=80)


def as_yaml(sample: bytes) -> Contents:
    structures = altered(yaml.safe_load(sample)).map(lambda value: yaml.safe_dump(value).encode())
    joined = letters.map(lambda text: text.encode() + b"\n" + sample)
    return st.one_of(structures, structures, joined, spoilt([sample, *YAML]))
