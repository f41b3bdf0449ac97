"""Quality against time, ours and what a user would pick instead: what `benchmarks/frontier.py` measured."""

from __future__ import annotations

from typing import Any

import pandas as pd

from agm.analysis import Numbers
from agm.measured import Measured, stamp


def points(measured: Measured, size: int) -> pd.DataFrame:
    """A row per network and iteration, averaged over seeds, for inputs of size x size; none where it was not timed.

    `unbeaten` says whether every other image with as high a PSNR comes later.
    """
    rows = pd.DataFrame(measured["rows"])
    rows["ms"] = [row["ms"].get(str(size)) for row in measured["rows"]]
    keys = ["name", "ours", "iteration", "parameters"]
    found = rows.groupby(keys, sort=False)[["psnr", "ssim", "ms"]].mean().dropna().reset_index()
    by_time = found.sort_values(["ms", "psnr"], ascending=[True, False]).psnr
    found["unbeaten"] = (by_time > by_time.cummax().shift(fill_value=float("-inf"))).reindex(found.index)
    return found


def table(measured: Measured, size: int) -> pd.DataFrame:
    """A row per network: its parameters, its best image and when that is there. The best comes first."""
    found = points(measured, size)
    best = found.loc[found.groupby("name").psnr.idxmax()].sort_values("psnr", ascending=False).set_index("name")
    best["unbeaten"] = found.groupby("name").unbeaten.sum()
    names = {"iteration": "best image", "psnr": "PSNR", "ssim": "SSIM", "ms": "there after, ms"}
    return best[["parameters", "iteration", "psnr", "ssim", "ms", "unbeaten"]].rename(columns=names)


def numbers(measured: Measured, size: int) -> Numbers:
    """Who has unbeaten images; the best of ours, the best rival, and the best rival that is no later than it."""
    found = points(measured, size)
    ours, rivals = found[found.ours], found[~found.ours]
    leaders = {"ours": _best(ours), "rival": _best(rivals)}
    leaders["quick"] = _best(rivals[rivals.ms <= leaders["ours"].ms])
    result: Numbers = {"stamp": stamp(measured["timing"][str(size)]), "size": size}
    result |= {"unbeaten": int(found.unbeaten.sum()), "ours_unbeaten": int(ours.unbeaten.sum())}
    for who, leader in leaders.items():
        result |= {f"{who}": str(leader["name"]), f"{who}_psnr": float(leader.psnr), f"{who}_ms": float(leader.ms)}
    result["behind"] = result["rival_psnr"] - result["ours_psnr"]
    result["behind_quick"] = result["quick_psnr"] - result["ours_psnr"]
    return result | {"bicubic_psnr": float(found.psnr[found.name == "bicubic"].iloc[0])}


def _best(images: pd.DataFrame) -> pd.Series[Any]:
    return images.sort_values("psnr").iloc[-1]
