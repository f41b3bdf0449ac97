"""The ledger as a notebook and a page show it: a row per claim, a column per set of runs."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agm.analysis import Numbers
from agm.claims.bootstrap import Interval
from agm.claims.evidence import Evidence
from agm.claims.ledger import CLAIMS
from agm.claims.verdicts import VERDICTS, Finding, Outcome, Verdict, evaluate, recorded

HERE = "here"
"""The column of this machine's runs; the others bear the name of the profile under which runs were recorded."""

PLACES = {"table1": "Table I", **{f"fig{number}": f"Fig. {number}" for number in range(4, 10)}, "order": "the order"}
"""What a claim belongs to, by its notebook, in the order in which it is shown."""

MARKS: dict[Verdict, str] = {"supported": "\N{CHECK MARK}", "contradicted": "\N{BALLOT X}", "inconclusive": "?"}

Columns = Mapping[str, Sequence[Finding]]


def columns(here: Evidence) -> Columns:
    """The findings from all recorded runs, by profile, and from this machine's."""
    return {name: evaluate(CLAIMS, evidence) for name, evidence in (recorded() | {HERE: here}).items()}


def stamp(found: Columns, profile: str) -> str:
    """Whose runs, for a figure's face."""
    recordings = ", ".join(name for name in found if name != HERE) or "none"
    return f"recorded runs: {recordings} · this machine: profile {profile} · {len(CLAIMS)} claims"


def title(column: str) -> str:
    """A column's heading."""
    return "this machine" if column == HERE else f"recorded, {column}"


@dataclass(frozen=True)
class Ledger:
    """The claims of some notebooks. `links`: where the notebooks' pages are, seen from the page that shows this."""

    columns: Columns
    places: Sequence[str] = tuple(PLACES)
    links: str = ""

    def __str__(self) -> str:
        return "\n".join(f"{row[0].claim.key}: " + ", ".join(f.verdict for f in row) for row in self.rows())

    __repr__ = __str__

    def rows(self) -> list[tuple[Finding, ...]]:
        """The findings of each claim, in the order of the figures."""
        listed = zip(*self.columns.values(), strict=True)
        rows = [row for row in listed if row[0].claim.where in self.places]
        return sorted(rows, key=lambda row: list(PLACES).index(row[0].claim.where))

    def _repr_html_(self) -> str:
        names = ["claim", "paper", *map(title, self.columns)]
        head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in names)
        body = "".join(self._row(row) for row in self.rows())
        return f"<table class='claims'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _row(self, row: Sequence[Finding]) -> str:
        claim = row[0].claim
        link = f"<a href='{self.links}{claim.where}.html'>{PLACES[claim.where]}</a>"
        about = f"{html.escape(claim.text)}<br><small>{claim.section} · {link} · <code>{claim.key}</code></small>"
        cells = "".join(f"<td>{_cell(finding)}</td>" for finding in row)
        paper = f"<td>{html.escape(claim.published)}</td>"
        return f"<tr id='claim-{claim.key}'><th scope='row'>{about}</th>{paper}{cells}</tr>"


def _cell(finding: Finding) -> str:
    outcome = finding.outcome
    lines = [f"<strong>{MARKS[finding.verdict]} {finding.verdict}</strong>"]
    if outcome.value is not None and math.isfinite(outcome.value):
        label = f"{html.escape(outcome.label)}: " if outcome.runs else ""
        lines.append(f"<small>{label}{number(outcome)}</small>")
    lines += [f"<small>{html.escape(finding.reason)}</small>"] if finding.reason else []
    return "<br>".join(lines)


def number(outcome: Outcome) -> str:
    """A number and its interval: "0.92 [0.90, 0.95]"; a counted one without."""
    value = outcome.value if outcome.value is not None else math.nan
    if not outcome.runs:
        return f"{value:,.0f}" if value == round(value) else f"{value:.2f}"
    return f"{value:.2f}{_span(outcome.interval)}"


def _span(interval: Interval | None) -> str:
    return f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""


def numbers(found: Columns) -> Numbers:
    """Counts of verdicts by column: `cpu_supported`, `here_one_seed`."""
    named: Numbers = {"entries": len(CLAIMS)}
    for column, findings in found.items():
        named |= {f"{column}_{verdict}": sum(f.verdict == verdict for f in findings) for verdict in VERDICTS}
        decided = [finding for finding in findings if finding.verdict != "inconclusive"]
        named[f"{column}_one_seed"] = sum(len(finding.outcome.seeds) == 1 for finding in decided)
    return named
