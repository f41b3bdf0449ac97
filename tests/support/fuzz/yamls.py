"""YAML that is not what its tags say."""

from __future__ import annotations

import string

import yaml
from hypothesis import strategies as st

from support.fuzz.damage import Contents, altered, spoilt

YAML = (
    b"name: x\ngroups_leak: !!bool x\n",
    b"name: !!int ''\n",
    b"name: !!timestamp x\n",
)
letters = st.text(st.sampled_from(string.ascii_lowercase + " \n\t:-[]{}!|>'\"#%@,?~<0123.9e+"), max_size=80)


def as_yaml(sample: bytes) -> Contents:
    structures = altered(yaml.safe_load(sample)).map(lambda value: yaml.safe_dump(value).encode())
    joined = letters.map(lambda text: text.encode() + b"\n" + sample)
    return st.one_of(structures, structures, joined, spoilt([sample, *YAML]))
