"""The ledger and its verdicts, in worlds where they are known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from support import claims as made
from support.checkout import ROOT
from support.claims import EPOCHS, Facts, World, as_the_paper_says, by_chance, curve, evidence, the_other_way_round

from agm import profiles
from agm.claims import tables
from agm.claims.evidence import MEASURES, Group, Quantity, UndecidableError, epochs_until
from agm.claims.ledger import CLAIMS, SECTIONS
from agm.claims.predicates import Counted, Measured
from agm.claims.verdicts import SEVERAL, VERDICTS, Claim, Finding, Range, Verdict, combine, evaluate, gather, judge
from agm.config import RunConfig
from agm.figures import claims as drawn
from agm.figures import style
from agm.runs import Run

BY_KEY = {claim.key: claim for claim in CLAIMS}
COUNTED = {claim.key for claim in CLAIMS if isinstance(claim.predicate, Counted)}
NOT_AS_PRINTED = {"parameters-saved", "a-cancels-plain-nnrr"}


def judged(key: str, runs: Iterable[Run]) -> Finding:
    return judge(BY_KEY[key], evidence(runs))


@cache
def world(chosen: World, noise: float = 0.0) -> dict[str, Finding]:
    return {f.claim.key: f for f in evaluate(CLAIMS, evidence(made.runs(chosen, noise=noise)))}


# The ledger


def test_the_ledger_is_whole() -> None:
    assert len(BY_KEY) == len(CLAIMS) >= 20
    for claim in CLAIMS:
        assert re.fullmatch(r"[a-z0-9-]+", claim.key)
        assert claim.text
        assert claim.published
        assert claim.holds.low < claim.holds.high
        assert claim.section in SECTIONS
        assert (ROOT / "notebooks" / f"{claim.where}.ipynb").exists()
        assert claim.where in tables.PLACES
    assert {claim.section for claim in CLAIMS} == set(SECTIONS)
    assert set(SECTIONS) <= {"II-B", "II-D", "III-B1", "III-B2", "III-B3", "III-C", "V"}  # of the paper
    assert {claim.where for claim in CLAIMS} == set(tables.PLACES)


def test_each_figures_page_and_its_claims_lead_to_each_other() -> None:
    pages = {path.stem: path.read_text() for path in (ROOT / "book").glob("*.md")}
    ledger = pages.pop("claims")
    for place in tables.PLACES:
        assert f"(claims-{place})=" in ledger
        assert f"claims_{place}_table" in ledger
        assert sum(f"{{ref}}`claims-{place}`" in text for text in pages.values()) == 1


def test_no_verdict_can_be_typed_in() -> None:
    assert {field.name for field in fields(Claim)}.isdisjoint({"verdict", "interval", "value"})
    for claim in CLAIMS:
        assert isinstance(claim.predicate, Counted | Measured)
        text = " ".join(str(value) for value in (claim.text, claim.published))
        assert not any(verdict in text for verdict in VERDICTS)


def test_what_is_one_number_per_run_needs_several_seeds() -> None:
    of_images = {"mse", "first mse", "last mse", "bicubic"}
    for claim in CLAIMS:
        if isinstance(claim.predicate, Measured):
            used = {quantity.measure for part in claim.predicate.parts for quantity in part.quantities}
            assert used <= set(MEASURES)
            assert claim.needs >= (1 if used <= of_images else SEVERAL), claim.key


@pytest.mark.parametrize("key", sorted(COUNTED))
def test_what_is_counted_needs_no_runs(key: str) -> None:
    found = judged(key, [])
    assert found.verdict == ("contradicted" if key in NOT_AS_PRINTED else "supported")
    assert found.runs == ()
    assert found.reason == ""


def test_counts_by_hand() -> None:
    assert judged("parameters-nnnr", []).outcome.value == 1335683
    assert judged("parameters-saved", []).outcome.value == pytest.approx(66.523, abs=1e-3)
    assert judged("parameters-by-kind", []).outcome.value == pytest.approx(
        (1179648 + 512) / (294912 + 512 + 128), rel=1e-2
    )
    assert judged("recurrent-costs-more", []).outcome.value == pytest.approx(4 * 192 / (128 + 64))  # of layer 4


# Verdicts


@pytest.mark.parametrize("key", [claim.key for claim in CLAIMS if claim.key not in COUNTED])
def test_each_claim_gets_each_verdict(key: str) -> None:
    # Config. A cannot keep the order and have nnrr and nnnr fall behind: the paper does not say that it does.
    supported: Verdict = "contradicted" if key == "order-a" else "supported"
    assert world(as_the_paper_says)[key].verdict == supported
    assert world(the_other_way_round)[key].verdict == "contradicted"
    nothing = judged(key, [])
    assert nothing.verdict == "inconclusive"
    assert nothing.outcome.value is None
    assert "missing" in nothing.reason


def test_chance_decides_nothing() -> None:
    """Not in that world: the level of errors, the first image against the last, and that AEL takes as long as NOAEL."""
    found = world(by_chance, 0.4)
    others = {key: finding for key, finding in found.items() if key not in COUNTED}
    decided = {key for key, finding in others.items() if finding.verdict != "inconclusive"}
    assert decided <= {"errors-printed", "later-better", "a-half"}
    reasons = {finding.reason for key, finding in others.items() if key not in decided}
    assert reasons == {"the interval straddles the margin"}


@pytest.mark.parametrize("number", [0.0, 0.01])
def test_numbers_that_are_all_the_same_give_no_warning_and_no_nonsense(number: float) -> None:
    def flat(_: RunConfig) -> Facts:
        return Facts(number, np.full(EPOCHS, np.log(0.01)), np.full(10, number), bicubic=number, training=number)

    for finding in evaluate(CLAIMS, evidence(made.runs(flat))):
        if number == 0 and finding.claim.key not in COUNTED and finding.verdict != "inconclusive":
            assert finding.outcome.value is not None
            assert math.isfinite(finding.outcome.value)
        json.dumps(finding.to_dict(), allow_nan=False)


def test_one_seed_is_too_few_for_what_training_decides_and_is_told_for_the_rest() -> None:
    runs = made.runs(as_the_paper_says, seeds=[4])
    for finding in evaluate(CLAIMS, evidence(runs)):
        if finding.claim.key in COUNTED:
            continue
        if finding.claim.needs > 1:
            assert (finding.verdict, finding.reason) == ("inconclusive", f"1 of {SEVERAL} seeds")
            assert finding.outcome.value is not None
        else:
            assert (finding.verdict, finding.reason) == ("supported", "one seed: holds for these networks")
            assert finding.outcome.interval is not None
            assert finding.outcome.seeds == (4,)


def without(runs: Iterable[Run], layers: str) -> list[Run]:
    return [run for run in runs if run.config.generator.layers != layers]


def diverge(runs: Iterable[Run], layers: str) -> list[Run]:
    def changed(run: Run) -> Run:
        other = replace(run, summary=run.summary | {"status": "diverged"})
        other.__dict__.update(metrics=run.metrics, test_images=run.test_images)
        return other if run.config.generator.layers == layers and run.config.seed == 1 else run

    return [changed(run) for run in runs]


@pytest.mark.parametrize("spoil", [without, diverge])
def test_a_run_that_is_missing_or_diverged_decides_only_what_it_must(spoil: object) -> None:
    assert callable(spoil)
    good = spoil(made.runs(as_the_paper_says, seeds=[0, 1]), "nrrr")
    bad = spoil(made.runs(the_other_way_round, seeds=[0, 1]), "nrrr")
    for key in ("one-n-better", "nnnr-best", "best-rrnr", "placement-matters", "rrrr-worst-cars"):
        assert judged(key, good).verdict == "inconclusive"
        assert re.fullmatch(r"nrrr is missing|nrrr diverged \(seed 1\)", judged(key, good).reason)
    assert judged("one-n-better", bad).verdict == "contradicted"  # one that is worse suffices
    assert judged("not-all-recurrent", good).verdict == "supported"  # one that is better suffices
    assert judged("not-all-recurrent", bad).verdict == "inconclusive"
    assert judged("table-nnnr-best", good).verdict == "supported"  # it is not about nrrr


def test_runs_of_the_seeds_that_all_have_are_compared() -> None:
    runs = made.runs(as_the_paper_says, seeds=[0, 1], layers=["nnnr", "nnrr", "rrnr", "rrrr"])
    some = [run for run in runs if run.config.seed == 0 or run.config.generator.layers == "nnnr"]
    finding = judged("table-nnnr-best", some)
    assert finding.outcome.seeds == (0,)
    assert finding.verdict == "supported"
    wanted = {r.config.id for r in some if made.names(r.config)[1:] == ("cars", "NOAEL", 1.0) and r.config.seed == 0}
    assert set(finding.runs) == wanted
    assert len(wanted) == 4
    apart = [run for run in runs if (run.config.seed == 1) == (run.config.generator.layers == "nnnr")]
    assert judged("table-nnnr-best", apart).reason == "no seed in common"


def test_only_runs_of_the_papers_size_can_have_its_errors() -> None:
    def small(config: RunConfig) -> Run:
        return made.make(config.replace(width=16, epochs=10), as_the_paper_says(config))

    finding = judged("errors-printed", [small(run.config) for run in made.runs(as_the_paper_says, seeds=[0])])
    assert finding.verdict == "inconclusive"
    assert finding.reason == "width 16 of 64, epochs 10 of 100"


@pytest.mark.parametrize("key", ["a-earlier", "a-half", "a-plain-saves-less", "b-earlier", "b-several-earlier"])
def test_how_fast_the_machine_was_when_a_run_was_timed_does_not_matter(key: str) -> None:
    runs = made.runs(as_the_paper_says)
    for run in runs:
        factor = 1 + int(run.config.id, 16) % 7
        run.summary["seconds_until_iteration"] = [factor * x for x in run.summary["seconds_until_iteration"]]
    assert judged(key, runs).outcome.value == pytest.approx(world(as_the_paper_says)[key].outcome.value)
    assert judged(key, runs).verdict == "supported"


def test_without_values_of_each_image_one_seed_has_no_interval() -> None:
    runs = made.runs(as_the_paper_says, seeds=[0])
    for run in runs:
        run.__dict__["test_images"] = {}
    finding = judged("table-nnnr-best", runs)
    assert (finding.verdict, finding.outcome.interval, finding.reason) == (
        "inconclusive",
        None,
        f"1 of {SEVERAL} seeds",
    )
    assert finding.outcome.value == pytest.approx(0.0064 / 0.0065)  # the closest of the others
    many = made.Evidence(made.runs(as_the_paper_says), made.PAPER, "iteration")  # values are kept for shared ones
    assert judge(BY_KEY["table-nnnr-best"], many).verdict == "supported"
    assert not np.isnan(many.stack([Quantity(Group("nnnr"))]).values).any()


def test_other_test_images_cannot_be_paired() -> None:
    runs = made.runs(as_the_paper_says, seeds=[0])
    for run in runs:
        if run.config.generator.layers == "nnnr":
            run.__dict__["test_images"] = {"shared": run.test_images["shared"][:, 1:]}
    assert judged("table-nnnr-best", runs).reason == "tested on different images"


def test_other_images_of_the_same_name_cannot_be_paired() -> None:
    runs = made.runs(as_the_paper_says, seeds=[0])
    for run in runs:
        if run.config.generator.layers == "nnnr":
            run.summary["data"] = {"fingerprint": "others"}
    assert judged("table-nnnr-best", runs).reason == "made on different images of one name"
    assert judged("best-rrnr", runs).verdict == "supported"


@pytest.mark.parametrize("seed", range(3))
def test_models_that_differ_by_chance_alone_are_not_found_to_differ_much(seed: int) -> None:
    """The largest of several errors over the smallest is above 1.1 here, without any difference behind it."""

    def alike(config: RunConfig) -> Facts:
        level = 0.01 * (1 + 0.01 * np.random.default_rng([seed, int(config.id, 16)]).normal())
        return Facts(level, curve(level, 3, 0.02), np.full(10, 1.0))

    runs = made.runs(alike, seeds=[0], noise=0.6)
    found = judged("placement-matters", runs)
    errors = [
        run.test().mean()
        for run in runs
        if run.config.generator.layers.count("r") == 2 and run.config.data.fraction == 1
    ]
    assert max(errors) / min(errors) > 1.1
    assert found.verdict != "supported"


def test_short_curves_are_told() -> None:
    runs = made.runs(as_the_paper_says)
    for run in runs:
        run.__dict__["metrics"] = run.metrics[run.metrics.epoch <= 2]
    assert judged("rrrn-unstable", runs).reason == "too few epochs, or not finite"


def test_ranges() -> None:
    below, about = Range(high=1), Range(0.4, 0.6)
    assert [below.judge(i) for i in ((0.8, 0.9), (1.1, 1.2), (0.9, 1.1), (0.9, 1.0), (1.0, 1.1))] == [
        *("supported", "contradicted", "inconclusive", "inconclusive", "inconclusive")
    ]
    assert [about.judge(i) for i in ((0.45, 0.55), (0.1, 0.3), (0.7, 0.8), (0.3, 0.7), (0.5, 0.7))] == [
        *("supported", "contradicted", "contradicted", "inconclusive", "inconclusive")
    ]


def test_combining() -> None:
    yes, no, open_ = VERDICTS
    assert [combine(v, False) for v in ([yes, yes], [yes, open_], [no, open_], [])] == [yes, open_, no, open_]
    assert [combine(v, True) for v in ([no, no], [yes, open_], [no, open_], [])] == [no, yes, open_, open_]


def test_the_comparison_that_decides_is_shown() -> None:
    assert world(as_the_paper_says)["nnnr-best"].outcome.label == "nnnr / rrnr"  # the closest rival
    assert world(the_other_way_round)["one-n-better"].outcome.label == "rrnr / rrrr"  # the worst offender
    assert world(as_the_paper_says)["not-all-recurrent"].outcome.label == "nnnr / rrrr"  # the best example


def test_many_comparisons_make_intervals_wider() -> None:
    runs = made.runs(by_chance, seeds=[0], noise=0.4)
    one, many = (judged(key, runs).outcomes for key in ("table-nnnr-best", "nnnr-best"))
    spans = [next(o.interval for o in outcomes if o.label == "nnnr / rrrr") for outcomes in (one, many)]
    assert spans[0] is not None
    assert spans[1] is not None
    assert np.ptp(spans[0]) < np.ptp(spans[1])


def test_epochs_by_hand() -> None:
    assert epochs_until([4, 3, 2, 1], 2.5) == 3
    assert epochs_until([4, 3, 2, 1], 9) == 1
    assert epochs_until([4, 3, 2, 1], 0.5) == 5


def test_the_best_is_picked_by_validation() -> None:
    found = evidence(made.runs(as_the_paper_says, seeds=[0]))
    assert found.chosen(Group("best 2r")).layers == "nnrr"
    assert found.chosen(Group("worst 2r")).layers != "nnrr"
    with pytest.raises(UndecidableError, match="rrrn FACEDATA is missing"):
        evidence(without(found.runs, "rrrn")).chosen(Group("best 3r", "faces"))


def test_plain_values_for_json() -> None:
    text = json.dumps([f.to_dict() for f in world(as_the_paper_says).values()], allow_nan=False)
    entry = next(entry for entry in json.loads(text) if entry["key"] == "order-b")
    assert entry["holds"] == [5 / 6, None]
    assert math.isclose(entry["value"], 1)
    assert len(entry["runs"]) == 8 * SEVERAL


# What is recorded


def test_the_recorded_runs_are_found_whatever_their_seed() -> None:
    cpu = gather(profiles.load("cpu"), None, ROOT / "results" / "cpu")
    assert set(cpu.groups[Group("nnnr")]) >= {0, 1}
    assert len(cpu.runs) >= 60
    finding = judge(BY_KEY["table-rrrr-worst"], cpu)
    assert set(finding.runs) <= {path.name for path in (ROOT / "results" / "cpu").iterdir()}
    assert finding.outcome.interval is not None


def test_the_ledger_as_a_table_and_as_numbers() -> None:
    columns = {"cpu": list(world(as_the_paper_says).values()), "here": list(world(the_other_way_round).values())}
    text = tables.Ledger(columns, links="notebooks/")._repr_html_()
    for claim in CLAIMS:
        assert f"id='claim-{claim.key}'" in text
        assert f"notebooks/{claim.where}.html" in text
    assert "recorded, cpu" in text
    assert "this machine" in text
    assert tables.Ledger(columns, ["order"])._repr_html_().count("<tr id=") == 2
    numbers = tables.numbers(columns)
    assert numbers["entries"] == len(CLAIMS)
    assert sum(numbers[f"cpu_{verdict}"] for verdict in VERDICTS) == len(CLAIMS)
    assert (numbers["cpu_one_seed"], numbers["here_inconclusive"]) == (0, 0)


def test_the_ledger_as_pictures() -> None:
    columns = {"cpu": list(world(as_the_paper_says).values()), "here": evaluate(CLAIMS, evidence([]))}
    marks = drawn.verdicts(columns, "made up").axes[0]
    assert len(marks.lines) >= 2 * len(CLAIMS)
    shapes = {(line.get_marker(), line.get_color()) for line in marks.lines if line.get_linestyle() == "None"}
    assert len(shapes) == len({marker for marker, _ in shapes}) == len(VERDICTS)  # told apart without colour
    rows = [label.get_text() for label in drawn.intervals(columns, "made up").axes[0].get_yticklabels()]
    assert set(rows) == {
        claim.key for claim in CLAIMS if isinstance(claim.predicate, Measured) and claim.predicate.unit == "ratio"
    }
    style.render(drawn.verdicts({"here": columns["here"]}, "no runs at all"))
    style.render(drawn.intervals({"here": columns["here"]}, "no runs at all"))
