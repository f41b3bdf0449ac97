"""`agm claims`: what the paper says against what runs show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agm.config import STATISTICS
from agm.errors import unknown
from study import profiles

if TYPE_CHECKING:
    from study.claims.verdicts import Finding

MARKS = {"supported": "+", "contradicted": "x", "inconclusive": "?", "untested": "-"}


def claims(
    profile: Annotated[str, typer.Option(help=f"Whose runs: {', '.join(profiles.names())}.")] = "quick",
    statistics: Annotated[
        str | None, typer.Option(help=f"Batch statistics: {', '.join(STATISTICS)}. [default: precise; else iteration]")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of run folders. [default: build/runs and results]")] = None,
) -> None:
    """The paper's claims: supported, contradicted, inconclusive or untested by a profile's finished runs.

    Each with the number it is judged by, its 95 % interval over seeds and what it rests on.
    """
    chosen = profiles.load(profile)
    if statistics is not None and statistics not in STATISTICS:
        raise unknown("statistics", statistics, STATISTICS)
    from study.claims.ledger import CLAIMS
    from study.claims.verdicts import VERDICTS, evaluate, gather

    evidence = gather(chosen, cast(Any, statistics), root)
    findings = evaluate(CLAIMS, evidence)
    counts: dict[str, int] = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in VERDICTS}
    for finding in findings:
        typer.echo(_line(finding))
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    runs = f"{len(evidence.runs)} runs of profile {profile}, {evidence.statistics} statistics"
    typer.echo(f"{len(findings)} claims, {runs}: {listed}", err=True)


def _line(finding: Finding) -> str:
    outcome, claim = finding.outcome, finding.claim
    number = (
        "" if outcome.value is None else f"{outcome.value:,.7g}" if claim.basis == "count" else f"{outcome.value:.3f}"
    )
    span = "[{:.3f}, {:.3f}]".format(*outcome.interval) if outcome.interval else ""
    reason = f"  {finding.reason}" if finding.reason else ""
    what = f" ({outcome.label})" if claim.basis != "count" else ""
    return f"{MARKS[finding.verdict]} {finding.verdict:13}{claim.key:24}{claim.section:8}{number} {span}{what}{reason}"
