"""Quality against time of our network and of alternatives, as measured by `benchmarks/frontier.py`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.aggregate import Numbers
from study.figures import style
from study.measured import Measured, stamp

SHORTEST, LONGEST = 1.0, 1000.0
"""Deadlines lie between them, in milliseconds."""

LATER = (10.0, 20.0, 50.0)
"""Other shortest deadlines, since an average depends on where it begins."""

OURS, SAME_TIME, CASCADE = "ours", "ours-same-time", "cascade"

MINUTES = "trained, minutes"
AHEAD_ALONE, AHEAD_ALL = "ahead of the best single rival, dB", "ahead of the best cascade, dB"
AHEAD_LAST = "last picture ahead of the best rival's, dB"

TITLES = {
    **{"espcn": "ESPCN", "fsrcnn": "FSRCNN", "imdn-small": "small IMDN", "imdn": "IMDN"},
    **{"srfbn-s": "SRFBN-S", "span": "SPAN", SAME_TIME: "ours, same time"},
}
"""Names of networks on a page, where they differ from those in the measurement."""

LOOKS: dict[str, dict[str, Any]] = {
    "bicubic": {"color": style.GREY, "marker": "o"},
    "espcn": {"color": style.BLACK, "marker": "s"},
    "fsrcnn": {"color": style.GREEN, "marker": "^"},
    "imdn-small": {"color": style.PURPLE, "marker": "v"},
    "imdn": {"color": style.ORANGE, "marker": "P"},
    "srfbn-s": {"color": style.SKY, "marker": "X"},
    "span": {"color": style.BLACK, "marker": "D", "markerfacecolor": "white"},
    OURS: {"color": style.VERMILLION, "marker": "o", "markersize": 4, "linestyle": "-"},
    SAME_TIME: {"color": style.BLUE, "marker": "o", "markersize": 4, "linestyle": "--"},
}


def anytime(ms: Sequence[float], quality: Sequence[float], nothing: float, shortest: float = SHORTEST) -> float:
    """Quality averaged over deadlines that are log-uniform in [shortest, LONGEST]; exact, nothing is sampled.

    ms: when each image is ready, ascending; quality: of each; nothing: the quality before the first. As in
    AnytimeYOLO (arXiv 2503.17497), with a density of deadlines of 1/t.
    """
    edges = np.log(np.clip([shortest, *ms, LONGEST], shortest, LONGEST))
    return float(np.diff(edges) @ [nothing, *quality] / (edges[-1] - edges[0]))


def scores(measured: Measured, shortest: float = SHORTEST) -> pd.Series[float]:
    """Mean of `anytime` over Set5, by network and for the cascade; the best first. Bicubic counts before any image."""
    alone = {network["name"]: _score([network], measured, shortest) for network in measured["networks"]}
    return pd.Series(alone | {CASCADE: cascade(measured, shortest)}, name="anytime").sort_values(ascending=False)


def cascade(measured: Measured, shortest: float = SHORTEST) -> float:
    """The score of the best cascade, a selection of rivals that run one after the other, the quickest first.

    The selection is made on the pictures that it is judged by, so no cascade of these networks can score higher.
    """
    rivals = [network for network in measured["networks"] if not network["ours"] and network["name"] != "bicubic"]
    rivals.sort(key=lambda network: _mean(network["ms"])[-1])
    selections = [some for n in range(1, 1 + len(rivals)) for some in itertools.combinations(rivals, n)]
    return max(_score(some, measured, shortest) for some in selections)


def _score(networks: Sequence[Mapping[str, Any]], measured: Measured, shortest: float) -> float:
    """Score of networks that run one after the other."""
    bicubic = next(network for network in measured["networks"] if network["name"] == "bicubic")["psnr"]["Set5"]
    each = [anytime(*_timeline(networks, name), quality[0], shortest) for name, quality in bicubic.items()]
    return float(np.mean(each))


def _timeline(networks: Sequence[Mapping[str, Any]], picture: str) -> tuple[list[float], list[float]]:
    """Milliseconds until each image of a picture is ready, ascending; and its PSNR in dB."""
    moments: list[float] = []
    quality: list[float] = []
    for network in networks:
        begun = moments[-1] if moments else 0.0
        moments += [begun + ms for ms in network["ms"][picture]]
        quality += network["psnr"]["Set5"][picture]
    return moments, quality


def points(measured: Measured) -> pd.DataFrame:
    """A row per network and image: dB on both sets and ms on Set5, means over the pictures.

    `unbeaten`: True if every other image with at least this PSNR on Set5 is ready later.
    """
    rows = []
    for network in measured["networks"]:
        row = {name: network[name] for name in ("name", "ours", "parameters", "minutes")}
        row |= {"iteration": range(1, 1 + len(network["macs"])), "set5": _mean(network["psnr"]["Set5"])}
        row |= {"set14": _mean(network["psnr"]["Set14"]), "ms": _mean(network["ms"]), "macs": network["macs"]}
        rows.append(row)
    per_image = ["iteration", "set5", "set14", "ms", "macs"]
    found = pd.DataFrame(rows).explode(per_image, ignore_index=True).infer_objects()
    by_time = found.sort_values(["ms", "set5"], ascending=[True, False]).set5
    found["unbeaten"] = (by_time > by_time.cummax().shift(fill_value=-np.inf)).reindex(found.index)
    return found


def table(measured: Measured) -> pd.DataFrame:
    """A row per network: its score, its last image, when that is there, and what it is. The best score comes first."""
    last = points(measured).groupby("name", sort=False).last()
    found = last.join(scores(measured)).sort_values("anytime", ascending=False)
    names = {"anytime": "PSNR over deadlines", "minutes": MINUTES, "ms": "last picture after, ms"}
    names |= {"set5": "last PSNR, Set5", "set14": "last PSNR, Set14", "iteration": "pictures"}
    names |= {"macs": "multiply-adds per pixel", "parameters": "parameters"}
    return found[list(names)].rename(columns=names, index=TITLES).rename_axis(None)


def numbers(measured: Measured) -> Numbers:
    """Sentences. `verdict`: our network and its rivals after as much training. `message`: what the figure shows."""
    found, by_score, (same, ours) = points(measured), scores(measured), versus(measured).to_dict("records")
    rivals = found[_rival(found)]
    best, first = rivals.sort_values("set5").iloc[-1], rivals.sort_values("ms").iloc[0]
    late = windows(measured).loc[_from(LATER[1])].to_dict()
    answer = ("no", "partly", "yes")[(same[AHEAD_ALONE] > 0) + (same[AHEAD_ALL] > 0)]
    verdict = (
        f"In the average over deadlines from {SHORTEST:g} ms to {LONGEST:g} ms, {answer}: our network is "
        f"{_apart(same[AHEAD_ALONE])} than the best single rival, "
        f"{_title(by_score[list(rivals.name.unique())].idxmax())}, and {_apart(same[AHEAD_ALL])} than the best "
        f"cascade of rivals, with the same {same[MINUTES]:.0f} minutes of training. Of deadlines from {LATER[1]:g} ms "
        f"on alone, ours is {_apart(late[AHEAD_ALONE])} than the best single rival then, and {_apart(late[AHEAD_ALL])} "
        f"than the best cascade. Its last picture is {_apart(same[AHEAD_LAST])} than the best of any rival, "
        f"{_title(best['name'])}'s after {best.ms:.0f} ms."
    )
    message = (
        f"Our first picture is there after {found[found.name == OURS].ms.iloc[0]:.0f} ms, the first of any rival, "
        f"{_title(first['name'])}'s, after {first.ms:.0f} ms (a). Averaged over deadlines, ours is "
        f"{_apart(same[AHEAD_ALONE])} than the best single rival after as much training, and "
        f"{_apart(ours[AHEAD_ALONE])} as it is (b)."
    )
    return {"verdict": verdict, "message": message}


def windows(measured: Measured) -> pd.DataFrame:
    """How far our network is ahead after as much training as its rivals, by the shortest deadline, in ms."""
    rows = {}
    for shortest in (SHORTEST, *LATER):
        rows[_from(shortest)] = _ahead(SAME_TIME, scores(measured, shortest))
    return pd.DataFrame.from_dict(rows, orient="index")


def _from(shortest: float) -> str:
    return f"deadlines from {shortest:g} ms"


def versus(measured: Measured) -> pd.DataFrame:
    """A row for each of our two networks: how far, in dB, it is ahead of its rivals, and how many images they beat.

    An image is beaten if a rival has a better one at least as soon. Bicubic upsampling is no rival.
    """
    found, by_score = points(measured), scores(measured)
    rivals, rows = found[_rival(found)], {}
    for name in (SAME_TIME, OURS):
        own = found[found.name == name]
        beaten = sum(((rivals.ms <= row.ms) & (rivals.set5 > row.set5)).any() for row in own.itertuples())
        rows[_title(name)] = {
            MINUTES: own.minutes.iloc[0],
            **_ahead(name, by_score),
            AHEAD_LAST: own.set5.iloc[-1] - rivals.set5.max(),
            "pictures beaten": f"{beaten} of {len(own)}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _ahead(name: str, by_score: pd.Series[float]) -> dict[str, float]:
    """How far one of our networks is ahead of its rivals, by `scores`."""
    rivals = by_score.drop([OURS, SAME_TIME, CASCADE, "bicubic"])
    return {AHEAD_ALONE: by_score[name] - rivals.max(), AHEAD_ALL: by_score[name] - by_score[CASCADE]}


def _rival(found: pd.DataFrame) -> pd.Series[bool]:
    return ~found.ours & (found.name != "bicubic")


def _apart(difference: float) -> str:
    return f"{abs(difference):.2f} dB {'better' if difference > 0 else 'worse'}"


def _mean(by_picture: Mapping[str, Sequence[float]]) -> list[float]:
    """The mean over the pictures: a number per image."""
    means: list[float] = np.mean(list(by_picture.values()), axis=0).tolist()
    return means


def draw(found: Measured) -> Figure:
    """Two panels: PSNR of each image over the milliseconds until it is ready; and quality averaged over deadlines."""
    with style.context():
        fig = style.figure(6.4)
        axes = fig.subplots(2, 1, height_ratios=(3, 2))
        _images(axes[0], found)
        style.title(axes[0], "a", "PSNR on Set5, dB")
        _scores(axes[1], found)
        style.title(axes[1], "b", "averaged over deadlines, dB")
        style.legend(fig, axes[0], 3)
        style.write_stamp(fig, stamp(found))
    return fig


def _images(ax: Axes, found: Measured) -> None:
    images = points(found)
    for name, group in images.groupby("name", sort=False):
        look: dict[str, Any] = {"linestyle": "", "markersize": 7} | LOOKS[str(name)]
        ax.plot(group.ms, group.set5, label=_title(name), zorder=4, **look)
    unbeaten = images[images.unbeaten].sort_values("ms")
    ax.step(unbeaten.ms, unbeaten.set5, where="post", color=style.FAINT, linewidth=1, zorder=1, label="unbeaten")
    ax.set_xscale("log")
    ax.set_xlabel("milliseconds until the picture is there")


def _scores(ax: Axes, found: Measured) -> None:
    ranked = scores(found)[::-1]
    for place, (name, score) in enumerate(ranked.items()):
        look = {"color": style.GREY, "marker": "o"} | LOOKS.get(str(name), {}) | {"linestyle": "", "markersize": 7}
        ax.plot([score], [place], label=_title(name), **look)
    ax.set_yticks(range(len(ranked)), map(_title, ranked.index))


def _title(name: object) -> str:
    return TITLES.get(str(name), str(name))
