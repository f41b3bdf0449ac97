"""The paper's claims and their verdicts, as tables and as a figure."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from agm.config import Statistics
from study import aggregate, profiles
from study.aggregate import Numbers
from study.claims.comparisons import Counted
from study.claims.evidence import Evidence
from study.claims.ledger import CLAIMS
from study.claims.verdicts import VERDICTS, Finding, Outcome, Verdict, evaluate, recorded, smallest_ratio
from study.figures import style

HERE = "here"
"""Name of the columns of this machine's runs; other columns bear the name of a recorded profile."""

PLACES = {"table1": "Table I", **{f"fig{number}": f"Fig. {number}" for number in range(4, 10)}, "order": "the order"}
"""Notebook of a claim -> its figure or table, in the order shown."""

MARKS: dict[Verdict, str] = {
    "supported": "\N{CHECK MARK}",
    "contradicted": "\N{BALLOT X}",
    "inconclusive": "?",
    "untested": "\N{EN DASH}",
}

DECIDED: tuple[Verdict, ...] = ("supported", "contradicted")

LOOKS: dict[Verdict, dict[str, Any]] = {
    "supported": {"marker": "o", "color": style.BLUE, "markersize": 8},
    "contradicted": {"marker": "X", "color": style.VERMILLION, "markersize": 8.5},
    "inconclusive": {"marker": "D", "color": style.FAINT, "markersize": 5.5, "markerfacecolor": "white"},
    "untested": {"marker": "_", "color": style.FAINT, "markersize": 8},
}
"""Look of each verdict: they differ in shape and in colour."""

LETTERS, LINE = 36, 0.165
"""A claim's letters on one line beside the figure, and the inches of such a line."""

Columns = Mapping[tuple[str, Statistics], Sequence[Finding]]
"""(profile or HERE, kind of statistics) -> findings."""


def columns(here: Evidence) -> Columns:
    """Findings of all recorded runs under both kinds of statistics, and of this machine's runs under the first.

    This machine's runs are left out if they were made on stand-in data, unless there are no others.
    """
    found: dict[tuple[str, Statistics], Evidence] = {(name, kind): each for (name, kind), each in recorded().items()}
    stand_ins = any(run.summary["data"].get("stand_in") for run in here.runs)
    if not found or (here.runs and not stand_ins):
        found[HERE, here.statistics] = here
    return {name: evaluate(CLAIMS, evidence) for name, evidence in found.items()}


def stamp(found: Columns, profile: str) -> str:
    """Names the runs, for a figure's stamp."""
    recordings = ", ".join(dict.fromkeys(name for name, _ in found if name != HERE)) or "none"
    own = f" · this machine: profile {profile}" if any(name == HERE for name, _ in found) else ""
    return f"recorded runs: {recordings}{own} · {len(CLAIMS)} claims"


def title(column: tuple[str, Statistics]) -> str:
    """A column's heading: the width of the recorded runs, and the reading."""
    name, reading = column
    place = "this machine" if name == HERE else f"width {profiles.load(name).base.generator.width}"
    return f"{place}, {aggregate.STATISTICS_NAMES[reading]}"


class Html(str):
    """Text that a notebook shows as HTML."""

    def _repr_html_(self) -> str:
        return self


def rows_of(columns: Columns, places: Iterable[str] = PLACES) -> list[tuple[Finding, ...]]:
    """The findings of each claim of some notebooks, in the order of the figures."""
    rows = [row for row in zip(*columns.values(), strict=True) if row[0].claim.where in places]
    return sorted(rows, key=lambda row: list(PLACES).index(row[0].claim.where))


def ledger(columns: Columns, places: Iterable[str] = PLACES, links: str = "") -> Html:
    """A table of the claims of some notebooks. `links`: path from the page that shows it to the notebooks' pages."""
    names = [html.escape(name) for name in (*map(title, columns), "paper")]
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("claim", *names))
    body = "".join(_row(row, names, links) for row in rows_of(columns, places))
    return Html(f"<table class='claims'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _row(row: Sequence[Finding], names: Sequence[str], links: str) -> str:
    """On a telephone the cells stand below the claim, so each bears its column's name."""
    claim = row[0].claim
    link = f"<a href='{links}{claim.where}.html'>{PLACES[claim.where]}</a>"
    about = f"{html.escape(claim.text)}<br><small>{claim.section} · {link}</small>"
    cells = "".join(f"<td data-column='{name}'>{_cell(each)}</td>" for name, each in zip(names, row, strict=False))
    if claim.basis != "runs":  # whatever the runs and the reading
        cells = f"<td colspan='{len(row)}'>{_cell(row[0])}</td>"
    paper = f"<td data-column='{names[-1]}'>{html.escape(claim.published)}</td>"
    return f"<tr id='claim-{claim.key}'><th scope='row'>{about}</th>{cells}{paper}</tr>"


def _cell(finding: Finding) -> str:
    outcome = finding.outcome
    lines = [f"<strong>{MARKS[finding.verdict]} {finding.verdict}</strong>"]
    if outcome.value is not None:
        lines.append(f"<small>{html.escape(measured(finding))}</small>")
    if finding.beside and finding.beside.value is not None:
        lines.append(f"<small>in this library's engine: {number(finding.beside)}</small>")
    lines += [f"<small>{html.escape(finding.reason)}</small>"] if finding.reason else []
    return "<br>".join(lines)


def summary(columns: Columns, verdicts: Sequence[Verdict]) -> Html:
    """The claims of some verdicts, a line each; the untested ones come last.

    Of the readings that count, the first that decides a claim or, if none does, the first of all.
    """
    counting = [listed for (_, reading), listed in columns.items() if reading != "shared"]
    decided = [min(row, key=lambda f: f.verdict not in DECIDED) for row in zip(*counting, strict=True)]
    found = [finding for finding in decided if finding.verdict in verdicts]
    lines = [_line(finding) for finding in sorted(found, key=lambda f: f.verdict == "untested")]
    return Html(f"<ul class='claims'>{''.join(lines) or '<li>none</li>'}</ul>")


def _line(finding: Finding) -> str:
    claim = finding.claim
    if finding.verdict == "untested":
        return f"<li>{MARKS['untested']} {html.escape(claim.text)} (untested)</li>"
    text = f"{claim.text} ({measured(finding)}; {finding.reason or 'counted'})"
    return f"<li>{MARKS[finding.verdict]} {html.escape(text)}</li>"


def measured(finding: Finding) -> str:
    """The number behind a verdict, and what it is of."""
    outcome, predicate = finding.outcome, finding.claim.predicate
    if isinstance(predicate, Counted):
        return f"{number(outcome)} {predicate.unit}"
    return f"{outcome.label}: {number(outcome)}"


def number(outcome: Outcome) -> str:
    """A number with its interval, such as "0.92 [0.90, 0.95]"; a count has none. Or "at least 1.80"."""
    value = outcome.value or 0.0
    if outcome.bound:
        return f"{outcome.bound}{value:.2f}"
    if outcome.label == "counted":
        return f"{value:,.0f}" if value == round(value) else f"{value:.2f}"
    return f"{value:.2f} [{outcome.interval[0]:.2f}, {outcome.interval[1]:.2f}]" if outcome.interval else f"{value:.2f}"


def power(claims: Sequence[Finding], evidence: Evidence) -> Numbers:
    """`smallest_3`, `smallest_6`: the smallest ratio of two errors that so many seeds can show (`smallest_ratio`).

    `batch_off`, `iteration_off`: how far these kinds of statistics lie from the precise one (`aggregate.off_precise`).
    """
    noise = evidence.noise("mse", "cars")
    tests = sum(finding.claim.basis == "runs" and math.isfinite(finding.p) for finding in claims)
    found: Numbers = {f"{kind}_off": aggregate.off_precise(evidence.runs, kind) for kind in ("batch", "iteration")}
    return found | ({f"smallest_{n}": smallest_ratio(noise, n, tests) for n in (3, 6)} if noise and tests else {})


def numbers(found: Columns) -> Numbers:
    """Counts of verdicts by kind of evidence: `count_supported`, `times_supported`, `cpu_precise_supported`; of those
    that decide, `cpu_precise_decided`; and of claims, `cpu_precise_entries`.

    `precise` stands for the kind of statistics that counts; `cpu_precise_reading` names it. `cpu_precise_best_nnnr` is
    the verdict on a claim. Of one about time, `times_a_half_value` is the number that decides, `times_a_half_label`
    says what is compared there, and `times_a_half_as_said` how many of its comparisons lie where the paper has them.
    """
    named: Numbers = {"entries": len(CLAIMS)}
    for (profile, reading), findings in found.items():
        place = f"{profile}_{'shared' if reading == 'shared' else 'precise'}"
        if reading != "shared":
            named[f"{place}_reading"] = aggregate.STATISTICS_NAMES[reading]
        for basis, prefix in (("count", "count"), ("times", "times"), ("runs", place)):
            listed = [finding.verdict for finding in findings if finding.claim.basis == basis]
            named |= {f"{prefix}_{verdict}": listed.count(verdict) for verdict in VERDICTS}
            named |= {f"{prefix}_decided": sum(map(DECIDED.__contains__, listed)), f"{prefix}_entries": len(listed)}
        for finding in findings:
            key = finding.claim.key.replace("-", "_")
            named[f"{place}_{key}"] = finding.verdict
            if finding.claim.basis == "times" and finding.outcome.value is not None:
                named |= {f"times_{key}_value": finding.outcome.value, f"times_{key}_label": finding.outcome.label}
                inside = [finding.claim.holds.slack(part.value or 0.0) > 0 for part in finding.outcomes]
                named[f"times_{key}_as_said"] = f"{sum(inside)} of {len(inside)}"
    return named


def verdicts(columns: Columns, stamp: str) -> Figure:
    """A row per claim, a column per set of runs."""
    rows = rows_of(columns)
    with style.context():
        fig, ax, places = _claims(rows)
        for y, row in zip(places, rows, strict=True):
            for x, finding in enumerate(row):
                ax.plot(x, y, linestyle="none", label=finding.verdict, **LOOKS[finding.verdict])
        ax.set_xticks(range(len(columns)), [title(name) for name in columns], rotation=70)
        ax.set_xlim(-0.5, len(columns) - 0.5)
        ax.xaxis.tick_top()
        handles = [Line2D([], [], linestyle="none", label=name, **LOOKS[name]) for name in VERDICTS]
        fig.legend(handles=handles, loc="outside lower center", ncols=2)
        style.write_stamp(fig, stamp)
    return fig


def _claims(rows: Sequence[Sequence[Finding]]) -> tuple[Figure, Axes, list[float]]:
    """A figure with the claims down the side, a line where the next figure's begin, and the middle of each claim's row.

    A place is in inches from the top.
    """
    sentences = [
        textwrap.fill(row[0].claim.text.replace("Table I", "Table\N{NO-BREAK SPACE}I"), LETTERS) for row in rows
    ]
    heights = np.array([LINE * (sentence.count("\n") + 1.8) for sentence in sentences])
    ends = np.cumsum(heights)
    fig = style.figure(1.8 + heights.sum())
    ax = fig.subplots()
    ax.set_yticks(ends - heights / 2, sentences)
    ax.set_ylim(heights.sum() or 1, 0)
    ax.tick_params(axis="y", length=0)
    for end, above, below in zip(ends, rows, rows[1:], strict=False):
        if above[0].claim.where != below[0].claim.where:
            ax.axhline(end, color=style.GREY, linewidth=0.7)
    return fig, ax, list(ends - heights / 2)
