"""The ledger as a notebook and a page show it: a row per claim, a column per set of runs and reading."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.aggregate import Numbers
from study.claims.evidence import Evidence
from study.claims.ledger import CLAIMS
from study.claims.verdicts import VERDICTS, Finding, Outcome, Verdict, evaluate, recorded

HERE = "here"
"""The columns of this machine's runs; the others bear the name of the profile under which runs were recorded."""

PLACES = {"table1": "Table I", **{f"fig{number}": f"Fig. {number}" for number in range(4, 10)}, "order": "the order"}
"""What a claim belongs to, by its notebook, in the order in which it is shown."""

MARKS: dict[Verdict, str] = {"supported": "\N{CHECK MARK}", "contradicted": "\N{BALLOT X}", "inconclusive": "?"}
MARKS |= {"untested": "\N{EN DASH}"}

Columns = Mapping[tuple[str, str], Sequence[Finding]]
"""The findings by whose runs they are, and by reading."""


def columns(here: Evidence) -> Columns:
    """The findings from all recorded runs under both readings, and from this machine's under the one that counts.

    Those of this machine are left out where a stand-in took the part of a data set of the paper and others are there.
    """
    found: dict[tuple[str, str], Evidence] = {(name, kind): each for (name, kind), each in recorded().items()}
    stand_ins = any(run.summary["data"].get("stand_in") for run in here.runs)
    if not found or (here.runs and not stand_ins):
        found[HERE, here.statistics] = here
    return {name: evaluate(CLAIMS, evidence) for name, evidence in found.items()}


def stamp(found: Columns, profile: str) -> str:
    """Whose runs, for a figure's face."""
    recordings = ", ".join(dict.fromkeys(name for name, _ in found if name != HERE)) or "none"
    own = f" · this machine: profile {profile}" if any(name == HERE for name, _ in found) else ""
    return f"recorded runs: {recordings}{own} · {len(CLAIMS)} claims"


def title(column: tuple[str, str]) -> str:
    """A column's heading."""
    name, reading = column
    return f"{'this machine' if name == HERE else f'recorded, {name}'}: {reading}"


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
        if claim.basis != "runs":  # whatever the runs and the reading
            cells = f"<td colspan='{len(row)}'>{_cell(row[0])}</td>"
        paper = f"<td>{html.escape(claim.published)}</td>"
        return f"<tr id='claim-{claim.key}'><th scope='row'>{about}</th>{paper}{cells}</tr>"


@dataclass(frozen=True)
class Summary:
    """The claims of some verdicts, a line each, by the readings that count; of the untested ones the keys alone."""

    columns: Columns
    verdicts: Sequence[Verdict]

    def findings(self) -> list[Finding]:
        """Of each claim the finding that decides or, if none does, the first."""
        counting = [listed for (_, reading), listed in self.columns.items() if reading != "shared"]
        rows = zip(*counting, strict=True)
        return [min(row, key=lambda f: f.verdict not in ("supported", "contradicted")) for row in rows]

    def _repr_html_(self) -> str:
        found = [finding for finding in self.findings() if finding.verdict in self.verdicts]
        lines = [self._line(finding) for finding in found if finding.verdict != "untested"]
        if keys := [f"<code>{finding.claim.key}</code>" for finding in found if finding.verdict == "untested"]:
            lines.append(f"<li>untested, {len(keys)}: {', '.join(keys)}</li>")
        return f"<ul class='claims'>{''.join(lines) or '<li>none</li>'}</ul>"

    def _line(self, finding: Finding) -> str:
        claim = finding.claim
        rests = "counted" if claim.basis == "count" else finding.reason
        label = "" if claim.basis == "count" else f"{finding.outcome.label}: "
        text = f"{claim.text} ({label}{number(finding.outcome)}; {rests})"
        return f"<li>{MARKS[finding.verdict]} {html.escape(text)}</li>"


def _cell(finding: Finding) -> str:
    outcome = finding.outcome
    lines = [f"<strong>{MARKS[finding.verdict]} {finding.verdict}</strong>"]
    if outcome.value is not None:
        label = f"{html.escape(outcome.label)}: " if finding.claim.basis != "count" else ""
        lines.append(f"<small>{label}{number(outcome)}</small>")
    if finding.beside and finding.beside.value is not None:
        lines.append(f"<small>in this library's engine: {number(finding.beside)}</small>")
    lines += [f"<small>{html.escape(finding.reason)}</small>"] if finding.reason else []
    return "<br>".join(lines)


def number(outcome: Outcome) -> str:
    """A number and its interval: "0.92 [0.90, 0.95]"; a count without."""
    value = outcome.value or 0.0
    if outcome.label == "counted":
        return f"{value:,.0f}" if value == round(value) else f"{value:.2f}"
    return f"{value:.2f} [{outcome.interval[0]:.2f}, {outcome.interval[1]:.2f}]" if outcome.interval else f"{value:.2f}"


def numbers(found: Columns) -> Numbers:
    """Counts of verdicts by what they rest on: `count_supported`, `times_supported`, `cpu_precise_supported`.

    `precise` stands for the reading that counts, `cpu_reading` says which it is. `cpu_precise_best_nnnr`: a verdict,
    for sentences that state it.
    """
    named: Numbers = {"entries": len(CLAIMS)}
    for (profile, reading), findings in found.items():
        if reading != "shared":
            named[f"{profile}_reading"] = reading
        place = f"{profile}_{'shared' if reading == 'shared' else 'precise'}"
        for basis, prefix in (("count", "count"), ("times", "times"), ("runs", place)):
            listed = [finding.verdict for finding in findings if finding.claim.basis == basis]
            named |= {f"{prefix}_{verdict}": listed.count(verdict) for verdict in VERDICTS}
            named[f"{prefix}_entries"] = len(listed)
        for finding in findings:
            named[f"{place}_{finding.claim.key.replace('-', '_')}"] = finding.verdict
    return named
