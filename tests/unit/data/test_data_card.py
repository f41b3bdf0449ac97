"""Cards of prepared sets: believed where they can be understood, refused in one line where not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.images import made_up, write_prepared
from support.official import write

from agm.data import prepared
from agm.errors import AgmError

GOOD_CARD = "name: mine\ngroups_leak: false\nsubstitute: others\nfuture: [1, 2]\n"
BAD_CARDS = {
    "no yaml": ("name: [", "cannot be read as YAML"),
    "python": ("!!python/object/apply:os.system [ls]", "cannot be read as YAML"),
    "control": ("name: \x01", "cannot be read as YAML"),
    "list": ("- a", "not a card"),
    "empty": ("", "not a card"),
    "no name": ("groups_leak: true", "name: None, "),
    "odd name": ("name: 3\ngroups_leak: true", "name: 3, "),
    "no leak": ("name: x", "groups_leak: None, "),
    "odd leak": ("name: x\ngroups_leak: 'no'", "groups_leak: 'no', "),
    "odd substitute": ("name: x\ngroups_leak: true\nsubstitute: [a]", "substitute: ['a']; expected a name"),
    "deep": ("[" * 500, "cannot be read as YAML"),
    "wrong tag": ("name: x\ngroups_leak: !!bool x", "cannot be read as YAML"),
}


def test_a_set_without_a_card_has_groups_that_leak(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "cars", made_up(4))
    old = prepared.load(folder)
    assert (old.name, old.groups_leak, old.stand_in) == ("cars", True, "")
    write(folder / "card.yml", GOOD_CARD.encode())
    new = prepared.load(folder)
    assert (new.name, new.groups_leak, new.stand_in) == ("mine", False, "others")


@pytest.mark.parametrize("case", BAD_CARDS)
def test_a_bad_card_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    text, message = BAD_CARDS[case]
    folder = write_prepared(tmp_path / "x", made_up(4))
    write(folder / "card.yml", text.encode())
    with pytest.raises(AgmError) as refused:
        prepared.load(folder)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{folder / 'card.yml'}: ")
    assert "\n" not in str(refused.value)
