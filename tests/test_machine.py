"""What a result says about where it was made."""

from __future__ import annotations

import json
import re

import torch

from agm import machine


def test_description_can_be_recorded() -> None:
    told = machine.describe(torch.device("cpu"))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["threads"] == torch.get_num_threads() == 1
    assert told["device_type"] == "cpu"
    assert told["device"]
    assert told["versions"]["torch"] == torch.__version__
    assert re.fullmatch("[0-9a-f]{12}", told["code"])
    assert re.fullmatch(r"([0-9a-f]{12}\+?)?", told["commit"])
