"""`agm claims` and `agm compare`: what the paper says against what runs show, and one's own runs against others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agm.cli.evaluate import AsJson
from agm.config import STATISTICS
from agm.errors import unknown
from study import profiles

if TYPE_CHECKING:
    from study.claims.verdicts import Finding

MARKS = {"supported": "+", "contradicted": "x", "inconclusive": "?", "untested": "-"}
ANSWERS = {True: "yes", False: "NO", None: "open"}


def claims(
    profile: Annotated[str, typer.Option(help=f"Whose runs: {', '.join(profiles.names())}.")] = "quick",
    statistics: Annotated[
        str | None, typer.Option(help=f"Batch statistics: {', '.join(STATISTICS)}. [default: precise; else iteration]")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of run folders. [default: build/runs and results]")] = None,
    as_json: AsJson = False,
) -> None:
    """The paper's claims: supported, contradicted, inconclusive or untested by a profile's finished runs.

    Each with the number it is judged by, its 95 % interval over seeds and what it rests on; --json has all comparisons
    and the runs behind them.
    """
    chosen = profiles.load(profile)
    if statistics is not None and statistics not in STATISTICS:
        raise unknown("statistics", statistics, STATISTICS)
    from study.claims.ledger import CLAIMS
    from study.claims.verdicts import VERDICTS, evaluate, gather

    evidence = gather(chosen, cast(Any, statistics), root)
    findings = evaluate(CLAIMS, evidence)
    counts: dict[str, int] = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in VERDICTS}
    if as_json:
        whole: dict[str, Any] = {"profile": profile, "statistics": evidence.statistics, "runs": len(evidence.runs)}
        whole |= {**counts, "claims": [finding.to_dict() for finding in findings]}
        typer.echo(json.dumps(whole, indent=1))
        return
    for finding in findings:
        typer.echo(_line(finding))
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    runs = f"{len(evidence.runs)} runs of profile {profile}, {evidence.statistics} statistics"
    typer.echo(f"{len(findings)} claims, {runs}: {listed}", err=True)


def compare(
    runs_a: Annotated[Path, typer.Argument(help="A folder of run folders, such as build/runs.", show_default=False)],
    runs_b: Annotated[Path, typer.Argument(help="Another, such as results/cpu.", show_default=False)],
    profile: Annotated[
        str | None, typer.Option(help="Judge the claims by this profile's runs. [default: the one that fits]")
    ] = None,
) -> None:
    """Two folders of runs side by side: run by run where configurations are equal, then the verdict on each claim."""
    from study.claims.compare import agree
    from study.claims.compare import compare as compare_runs

    found = compare_runs(runs_a, runs_b, profile)
    typer.echo(found.runs.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    typer.echo(f"\n{'claim':26}{'A':15}{'B':15}agree")
    answers = [agree(a, b) for a, b in found.findings]
    for (a, b), answer in zip(found.findings, answers, strict=True):
        typer.echo(f"{a.claim.key:26}{a.verdict:15}{b.verdict:15}{ANSWERS[answer]}")
    same, opposite = answers.count(True), answers.count(False)
    typer.echo(
        f"{len(found.runs)} runs in both, {found.only_a} only in A, {found.only_b} only in B; "
        f"of {len(answers)} claims (profile {found.profile}) {same} have the same verdict, {opposite} the opposite one",
        err=True,
    )


def _line(finding: Finding) -> str:
    outcome, claim = finding.outcome, finding.claim
    number = (
        "" if outcome.value is None else f"{outcome.value:,.7g}" if claim.basis == "count" else f"{outcome.value:.3f}"
    )
    span = "[{:.3f}, {:.3f}]".format(*outcome.interval) if outcome.interval else ""
    reason = f"  {finding.reason}" if finding.reason else ""
    what = f" ({outcome.label})" if claim.basis != "count" else ""
    return f"{MARKS[finding.verdict]} {finding.verdict:13}{claim.key:24}{claim.section:8}{number} {span}{what}{reason}"
