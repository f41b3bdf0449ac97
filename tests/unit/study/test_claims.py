"""The ledger and its verdicts, in worlds where they are known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from scipy import stats
from support import claims as made
from support.checkout import ROOT
from support.claims import EPOCHS, SEEDS, Facts, World, as_the_paper_says, by_chance, evidence, the_other_way_round

from agm.config import RunConfig
from agm.runs import Run
from study import aggregate, profiles
from study.claims.comparisons import Agreement, Contrast, Counted, Measured, Part, Range, Sooner, Spread, placements
from study.claims.evidence import MEASURES, TIMES, Evidence, Group, Noise, Quantity, Stack, epochs_until, pooled
from study.claims.ledger import CLAIMS
from study.claims.verdicts import VERDICTS, Claim, Finding, Outcome, evaluate, gather, holm, recorded, smallest_ratio
from study.experiments import TABLE_1
from study.figures import claims, style

BY_KEY = {claim.key: claim for claim in CLAIMS}
COUNTED = {claim.key for claim in CLAIMS if claim.basis == "count"}
TIMED = {claim.key for claim in CLAIMS if claim.basis == "times"}
NOT_AS_PRINTED = {"parameters-saved", "a-cancels-plain-nnrr"}
LEVELS = {"errors-printed", "errors-printed-summed"}


def judged(key: str, runs: Iterable[Run]) -> Finding:
    (finding,) = evaluate([BY_KEY[key]], evidence(runs))
    return finding


@cache
def runs_of(chosen: World) -> tuple[Run, ...]:
    return tuple(made.runs(chosen))


@cache
def world(chosen: World) -> dict[str, Finding]:
    return {f.claim.key: f for f in evaluate(CLAIMS, evidence(runs_of(chosen), chosen))}


# The ledger


def test_the_ledger_is_whole() -> None:
    assert len(BY_KEY) == len(CLAIMS) >= 20
    for claim in CLAIMS:
        assert re.fullmatch(r"[a-z0-9-]+", claim.key)
        assert claim.text
        assert claim.published
        assert claim.holds.low < claim.holds.high
        assert (ROOT / "notebooks" / f"{claim.where}.ipynb").exists()
        if isinstance(claim.predicate, Measured):
            used = {quantity.measure for part in claim.predicate.parts for quantity in part.quantities}
            assert used <= set(MEASURES) or used <= set(TIMES)
    assert {claim.section for claim in CLAIMS} == {"II-B", "II-C", "II-D", "III-B1", "III-B2", "III-B3", "III-C", "V"}
    assert {claim.where for claim in CLAIMS} == set(claims.PLACES)


def test_each_figures_page_and_its_claims_lead_to_each_other() -> None:
    pages = {path.stem: path.read_text() for path in (ROOT / "book").glob("*.md")}
    ledger = pages.pop("claims")
    for place in claims.PLACES:
        assert f"(claims-{place})=" in ledger
        assert f"claims_{place}_table" in ledger
        assert sum(f"{{ref}}`claims-{place}`" in text for text in pages.values()) == 1


def test_no_verdict_can_be_typed_in() -> None:
    assert {field.name for field in fields(Claim)}.isdisjoint({"verdict", "interval", "value"})
    for claim in CLAIMS:
        assert isinstance(claim.predicate, Counted | Measured)
        assert not any(verdict in f"{claim.text} {claim.published}" for verdict in VERDICTS)


GLUED = re.compile(r"\{glue:text\}`notebooks/claims\.ipynb::claims_(\w+?):s`")


@pytest.mark.parametrize("page", sorted(path.stem for path in (ROOT / "book").glob("*.md")))
def test_a_sentence_that_states_a_verdict_draws_it_from_the_ledger(page: str) -> None:
    text = (ROOT / "book" / f"{page}.md").read_text()
    places = ("cpu_precise", "cpu_shared", "reduced_precise", "reduced_shared")
    named = {f"{place}_{key.replace('-', '_')}" for key in (*BY_KEY, "reading") for place in places}
    named |= {f"times_{key.replace('-', '_')}_{what}" for key in TIMED for what in ("label", "as_said")}
    for name in GLUED.findall(text):
        assert name in named, name
    if page not in ("claims", "glossary"):  # where the words are explained
        assert re.findall(rf"\b({'|'.join(VERDICTS)})\b", GLUED.sub("", text)) == []
    for key in re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", text):
        if key in BY_KEY and page != "claims":
            assert f"_{key.replace('-', '_')}:s`" in text, key


@pytest.mark.parametrize("key", sorted(COUNTED))
def test_what_is_counted_needs_no_runs(key: str) -> None:
    found = judged(key, [])
    assert found.verdict == ("contradicted" if key in NOT_AS_PRINTED else "supported")
    assert found.reason == ""


def test_counts_by_hand() -> None:
    assert judged("parameters-nnnr", []).outcome.value == 1335683
    assert judged("parameters-saved", []).outcome.value == pytest.approx(66.523, abs=1e-3)
    by_kind = judged("parameters-by-kind", []).outcome.value
    assert by_kind == pytest.approx((1179648 + 512) / (294912 + 512 + 128), rel=1e-2)
    assert judged("recurrent-costs-more", []).outcome.value == pytest.approx(4 * 192 / (128 + 64))  # of layer 4


# Verdicts


@pytest.mark.parametrize("key", [claim.key for claim in CLAIMS if claim.key not in COUNTED])
def test_each_claim_gets_each_verdict(key: str) -> None:
    # Config. A cannot keep the order and have nnrr and nnnr fall behind; one reading of the MSE excludes the other.
    supported = "contradicted" if key in ("order-a", "errors-printed-summed") else "supported"
    assert world(as_the_paper_says)[key].verdict == supported
    assert world(the_other_way_round)[key].verdict == "contradicted"
    nothing = judged(key, [])
    assert (nothing.verdict, nothing.outcome.value) == ("untested", None)
    assert re.search("missing|not been timed", nothing.reason)


def test_chance_decides_nothing() -> None:
    """Not in that world: levels, the last image against the first, and that AEL takes as long as NOAEL."""
    found = {key: finding for key, finding in world(by_chance).items() if key not in COUNTED}
    decided = {key for key, finding in found.items() if finding.verdict != "inconclusive"}
    assert decided <= {*LEVELS, "later-better", "levels-off", "a-half"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [0.0, 0.01])
def test_numbers_that_are_all_the_same_give_no_warning_and_no_nonsense(number: float) -> None:
    def flat(_: RunConfig) -> Facts:
        return Facts(number, np.full(EPOCHS, np.log(0.01)), np.full(10, 0.01), bicubic=number)

    for finding in evaluate(CLAIMS, evidence(made.runs(flat, range(3)), flat)):
        if number == 0 and finding.claim.key not in COUNTED and finding.verdict not in ("untested", "inconclusive"):
            assert finding.outcome.value


@pytest.mark.parametrize(("seeds", "reason"), [([4], "one seed: these networks only"), ([4, 5], "2 of 3 seeds")])
def test_few_seeds_decide_nothing_and_show_their_number(seeds: list[int], reason: str) -> None:
    for finding in evaluate(CLAIMS, evidence(made.runs(as_the_paper_says, seeds))):
        if finding.claim.basis == "runs":
            assert (finding.verdict, finding.reason) == ("untested", reason)
            assert finding.outcome.value is not None
            assert finding.outcome.seeds == tuple(seeds)


def test_times_are_replicated_by_timing() -> None:
    """Not by training: there is no run at all; rounds that differ as much as AEL saves decide nothing."""
    alone = {f.claim.key: f for f in evaluate(CLAIMS, evidence([], as_the_paper_says))}
    noisy = Evidence([], made.PAPER, timing=made.timing(as_the_paper_says, spread=1.0))
    for finding in evaluate(CLAIMS, noisy):
        if finding.claim.key in TIMED:
            assert (finding.verdict, alone[finding.claim.key].verdict) == ("inconclusive", "supported")
            assert alone[finding.claim.key].beside is not None
    assert alone["a-half"].outcome.value == pytest.approx(0.5, rel=0.02)


def without(runs: Iterable[Run], layers: str) -> list[Run]:
    return [run for run in runs if run.config.generator.layers != layers]


def changed(run: Run, **summary: object) -> Run:
    """With another summary, and its table as it was."""
    other = replace(run, summary=run.summary | summary)
    other.__dict__["metrics"] = run.metrics
    return other


def diverge(runs: Iterable[Run], layers: str) -> list[Run]:
    return [
        changed(run, status="diverged") if (run.config.generator.layers, run.config.seed) == (layers, 1) else run
        for run in runs
    ]


@pytest.mark.parametrize("spoil", [without, diverge])
def test_a_run_that_is_missing_or_diverged_decides_only_what_it_must(spoil: object) -> None:
    assert callable(spoil)
    good, bad = spoil(runs_of(as_the_paper_says), "nrrr"), spoil(runs_of(the_other_way_round), "nrrr")
    for key in ("one-n-better", "nnnr-best", "best-rrnr", "placement-matters", "rrrr-worst-cars"):
        assert judged(key, good).verdict == "untested"
        assert re.fullmatch(r"nrrr is missing|nrrr diverged \(seed 1\)", judged(key, good).reason)
    assert judged("one-n-better", bad).verdict == "contradicted"  # one that is worse suffices
    assert judged("not-all-recurrent", good).verdict == "supported"  # one that is better suffices
    assert judged("not-all-recurrent", bad).verdict == "untested"
    assert judged("table-nnnr-best", good).verdict == "supported"  # it is not about nrrr


def test_runs_of_the_seeds_that_all_have_are_compared() -> None:
    runs = [run for run in runs_of(as_the_paper_says) if run.config.generator.layers in TABLE_1]
    some = [run for run in runs if run.config.seed < 4 or run.config.generator.layers == "nnnr"]
    finding = judged("table-nnnr-best", some)
    assert (finding.outcome.seeds, finding.verdict) == ((0, 1, 2, 3), "supported")
    apart = [run for run in runs if (run.config.seed == 1) == (run.config.generator.layers == "nnnr")]
    assert judged("table-nnnr-best", apart).reason == "no seed in common"


@pytest.mark.parametrize(
    ("data", "layers", "reason"),
    [
        ({"fingerprint": "others"}, "nnnr", "made on different images of one name"),
        ({"fingerprint": "0", "stand_in": "crops"}, "", "made on crops, which only stand in: not counted"),
    ],
)
def test_what_cannot_be_compared_is_not_counted(data: dict[str, str], layers: str, reason: str) -> None:
    runs = [
        changed(run, data=data) if run.config.generator.layers.startswith(layers) else run
        for run in runs_of(as_the_paper_says)
    ]
    assert judged("table-nnnr-best", runs).reason == reason


def test_only_runs_of_the_papers_size_can_have_its_errors() -> None:
    def small(config: RunConfig) -> Run:
        return made.make(config.replace(width=16, epochs=10), as_the_paper_says(config))

    finding = judged("errors-printed", [small(run.config) for run in runs_of(as_the_paper_says)])
    assert (finding.verdict, finding.reason) == ("untested", "width 16 of 64, epochs 10 of 100")


def test_the_comparison_that_decides_is_shown() -> None:
    assert world(as_the_paper_says)["nnnr-best"].outcome.label == "nnnr / rrnr"  # the closest rival
    assert world(as_the_paper_says)["not-all-recurrent"].outcome.label.endswith(" / rrrr")
    assert world(the_other_way_round)["one-n-better"].outcome.value > 1  # type: ignore[operator]


# Tests


RECORDED = {"shared": 0.24, "batch": 0.07}
"""About the standard deviation over seeds of a model's log MSE beside others of its seed, as recorded."""


@pytest.mark.parametrize("kind", RECORDED)
def test_the_spread_is_the_recorded_one_and_alike_in_all_networks(kind: str) -> None:
    """Bartlett's test: networks do not differ in how much their seeds scatter, so pooling is fair."""
    cpu = gather(profiles.load("cpu"), kind, ROOT / "results" / "cpu")  # type: ignore[arg-type]
    noise = cpu.noise("mse", "cars")
    assert noise is not None
    assert noise.spread == pytest.approx(RECORDED[kind], rel=0.15)
    assert noise.freedom >= 45
    logs = [
        [np.log(run.test("mse", cpu.statistics).mean()) for run in found.values()]
        for group, found in cpu.groups.items()
        if group.role == "cars" and len(found) > 1
    ]
    assert stats.bartlett(*logs).pvalue > 0.05


def test_noise_by_hand() -> None:
    """Balanced: the residuals of a two-way table; single seeds count for nothing."""
    logs = np.random.default_rng(4).normal([0.0, 1.0, 3.0], size=(5, 3))
    rows = {network: dict(enumerate(row)) for network, row in enumerate(logs)}
    residuals = logs - logs.mean(axis=1, keepdims=True) - logs.mean(axis=0) + logs.mean()
    noise = pooled(rows | {"once": {0: 9.9}}) or pytest.fail("there are several seeds")
    assert (noise.freedom, noise.spread) == (8, pytest.approx(np.sqrt((residuals**2).sum() / 8)))
    ragged = pooled({"a": {0: 1.0, 1: 2.0, 2: 4.0}, "b": {1: 0.0, 2: 1.0}})
    assert ragged is not None
    assert ragged.freedom == 1
    assert pooled({"a": {0: 1.0}, "b": {0: 2.0}}) is None
    assert pooled({}) is None


def test_noise_is_pooled_only_between_networks_that_a_seed_changes_alike() -> None:
    """Three seeds that raise a quarter's errors and lower those with all images: the ratio's own scatter counts."""
    values = np.exp([[0.3, 0.1, 0.2], [0.0, 0.1, 0.05]])
    noise, holds = Noise(0.001, 50), Range(low=1)
    for fraction, pooled_noise in ((1.0, True), (0.25, False)):
        quantities = Quantity(Group("nnnr", fraction=fraction)), Quantity(Group("rrrr"))
        part = Contrast("", quantities, (1, -1))
        assert (part.test(values, holds, noise) == part.test(values, holds)) != pooled_noise
    alone = Contrast("", (Quantity(Group("nnnr")),), (1,))
    assert alone.test(values[:1], holds, noise) == alone.test(values[:1], holds)


@pytest.mark.parametrize("spread", RECORDED.values())
@pytest.mark.parametrize("seeds", [3, 6])
def test_intervals_over_seeds_have_the_coverage_they_promise(spread: float, seeds: int) -> None:
    """Of a ratio of two models that differ by a fifth, 95 % of 2,000; three standard errors are 1.5 %.

    With noise of their own, and pooled over ten models that share what a seed does to all.
    """
    rng, part = np.random.default_rng(seeds), Contrast("", (), (1, -1))
    own, together = [], []
    for _ in range(2000):
        logs = rng.normal(0, spread, (10, seeds)) + rng.normal(0, spread, seeds)
        values = np.exp(logs[:2]) * [[1.2], [1.0]]
        own.append(part.test(values, Range(high=1)).interval)
        noise = pooled({model: dict(enumerate(row)) for model, row in enumerate(logs)})
        together.append(part.test(values, Range(high=1), noise).interval)
    for found in (own, together):
        assert np.mean([low < 1.2 < high for low, high in filter(None, found)]) == pytest.approx(0.95, abs=0.015)


def test_what_so_many_seeds_can_show() -> None:
    """A ratio of that size is found four times out of five, at the level that Holm asks of the first of 27 claims."""
    noise, rng, found = Noise(0.1, 50), np.random.default_rng(0), 0
    part, ratio = Contrast("", (), (1, -1)), smallest_ratio(noise, 3, 27)
    for _ in range(1000):
        spread = 0.1 * np.sqrt(rng.chisquare(50) / 50)
        drawn = part.test(np.exp(rng.normal(0, 0.1, (2, 3))) * [[ratio], [1]], Range(low=1), Noise(spread, 50))
        found += drawn.holds < 0.05 / 27 / 2
    assert found / 1000 == pytest.approx(0.8, abs=0.04)


class Drawn(Evidence):
    """All models are alike; seeds differ as recorded."""

    def __init__(self, seed: int) -> None:
        super().__init__([], made.PAPER, timing={})
        self.rng, self.drawn = np.random.default_rng(seed), dict[Quantity, np.ndarray]()

    def stack(self, quantities: Iterable[Quantity], implementation: str = "plain") -> Stack:
        rows = [self.drawn.setdefault(q, np.exp(self.rng.normal(0, 0.22, SEEDS))) for q in quantities]
        return Stack(np.array(rows), tuple(range(SEEDS)), noise=self.noise("mse", "cars"))

    def _noise(self, measure: str, role: str) -> Noise | None:
        return pooled({model: dict(enumerate(self.rng.normal(0, 0.22, SEEDS))) for model in range(20)})

    def below_the_paper(self) -> str:
        return ""


def parts(claim: Claim) -> tuple[Part, ...]:
    return claim.predicate.parts if isinstance(claim.predicate, Measured) else ()


def test_the_whole_ledger_is_rarely_wrong() -> None:
    """Where nothing is there but chance, any verdict at all is rare. Levels are no matter of chance."""
    claims = [claim for claim in CLAIMS if claim.basis == "runs" and claim.key not in LEVELS]
    claims = [claim for claim in claims if not isinstance(parts(claim)[0], Spread | Sooner)]  # slow: tests below
    wrong = [any(f.verdict in ("supported", "contradicted") for f in evaluate(claims, Drawn(i))) for i in range(40)]
    assert sum(wrong) <= 6  # of 40; more than that by chance in one of 100 if it were one in twenty


def test_placement_is_judged_against_its_null() -> None:
    """The worst of several over the best is above 1.1 nearly always, with less than that, or nothing, behind it."""
    (part, *_) = placements().parts
    for true in ([1, 1, 1, 1], [1, 1, 1.08, 1.08]):
        drawn = [np.exp(np.random.default_rng(i).normal(0, 0.16, (4, SEEDS))) * np.c_[true] for i in range(60)]
        assert np.mean([part.value(one) > 1.1 for one in drawn]) > 0.6
        assert sum(part.test(one, Range(low=1.1)).holds < 0.05 for one in drawn) <= 6  # 3 of 60, 7 in 100 times more
    real = np.exp(np.random.default_rng(0).normal(0, 0.05, (4, SEEDS))) * [[1], [1.1], [1.2], [1.3]]
    assert part.test(real, Range(low=1.1)).holds < 0.001
    alike = np.exp(np.random.default_rng(0).normal(0, 0.01, (4, SEEDS)))
    assert part.test(alike, Range(low=1.1)).fails < 0.001


def test_t_tests_are_scipys_and_margins_go_both_ways() -> None:
    values = np.exp(np.random.default_rng(1).normal(0.1, 0.1, (2, 6)))
    x = np.log(values[0] / values[1])
    part = Contrast("", (), (1, -1))
    for name, holds in (("greater", Range(low=1.05)), ("less", Range(high=1.05))):
        expected = stats.ttest_1samp(x, np.log(1.05), alternative=name).pvalue
        assert part.test(values, holds).holds == pytest.approx(expected)
        assert part.test(values, holds).fails == pytest.approx(1 - expected)
    low, high = (stats.ttest_1samp(x, np.log(m), alternative=a).pvalue for m, a in ((0.9, "greater"), (1.1, "less")))
    assert part.test(values, Range(0.9, 1.1)).holds == pytest.approx(max(low, high))
    expected = np.exp(stats.ttest_1samp(x, 0).confidence_interval(0.95))
    assert part.test(values, Range(high=1)).interval == pytest.approx(tuple(expected))


def test_what_was_never_reached_counts_as_last() -> None:
    """Three against three, all censored: 1 of 20 arrangements; how far beyond the end does not matter."""
    part, holds = Sooner("", ()), Range(high=1)
    found = part.test(np.array([[9, 9, 9], [6, 8, 8]]), holds)
    assert (found.fails, found.holds) == (pytest.approx(1 / 20), pytest.approx(1))
    assert part.test(np.array([[99, 99, 99], [6, 8, 8]]), holds).fails == pytest.approx(1 / 20)
    assert part.test(np.array([[9, 9, 9], [9, 9, 9]]), holds).holds == 1
    never, late = [8, 9, 9], [6, 8, 9]
    bounds = [part.bound(np.array(rows), 8) for rows in ([never, never], [never, late], [late, never], [late, late])]
    assert bounds == ["not known, counted as ", "at least ", "at most ", ""]
    assert claims.number(Outcome("", 1.8, bound="at least ")) == "at least 1.80"
    assert epochs_until([4, 3, 2, 1], 2.5) == 3
    assert epochs_until([4, 3, 2, 1], 0.5) == 5


def test_agreement_of_two_contrasts() -> None:
    noise = np.exp(np.random.default_rng(2).normal(0, 0.01, (4, 6)))
    part = Agreement("", (), (1, -1, 0, 0), (0, 0, 1, -1))
    drawn = [noise * np.array([[2], [1], [a], [1]]) for a in (1.5, 1 / 1.5)]
    assert [part.value(one) for one in drawn] == pytest.approx([1.5, 1 / 1.5], rel=0.02)
    same, apart = (part.test(one, Range(low=1)) for one in drawn)
    assert max(same.holds, apart.fails) < 1e-6
    assert min(same.fails, apart.holds) > 0.9


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, np.nan, 0.03])) == pytest.approx([0.03, 0.06, np.nan, 0.06], nan_ok=True)
    assert holm(np.array([np.nan])) == pytest.approx([np.nan], nan_ok=True)


def test_the_best_is_picked_by_the_validation_of_other_seeds() -> None:
    runs = made.runs(as_the_paper_says, [0, 1], layers=["nnrr", "nrnr", "nrrn", "rnnr", "rnrn", "rrnn"], dataset="cars")
    for run in runs:  # one draw makes rrnn seem the best, in its own seed
        if run.config.generator.layers == "rrnn" and run.config.seed == 0:
            run.metrics["mse"] = 1e-9
    chosen = evidence(runs).find(Group("best 2r"))
    assert [chosen[seed].config.generator.layers for seed in (0, 1)] == ["nnrr", "rrnn"]
    assert judged("rrrr-worst-faces", without(runs_of(as_the_paper_says), "rrrn")).reason == "rrrn FACEDATA is missing"


# What is recorded


def test_both_readings_of_the_recorded_runs_stand_side_by_side() -> None:
    found = recorded()
    for name in ("cpu", "reduced"):
        counts, shared = (reading for profile, reading in found if profile == name)
        assert (counts, shared) == aggregate.both(found[name, "shared"].runs)
    cpu = found["cpu", "shared"]
    assert set(cpu.groups[Group("nnnr")]) == set(range(6))
    assert cpu.timing, "times have been recorded"


def test_the_ledger_as_a_table_and_as_numbers() -> None:
    columns = {
        ("cpu", "precise"): list(world(as_the_paper_says).values()),
        ("cpu", "shared"): list(world(the_other_way_round).values()),
    }
    text = claims.ledger(columns, links="notebooks/")
    for claim in CLAIMS:
        assert f"id='claim-{claim.key}'" in text
        assert f"notebooks/{claim.where}.html" in text
    assert text.count("colspan='2'") == len(COUNTED | TIMED)
    assert "width 16, precise" in text
    assert "in this library's engine" in text
    assert claims.ledger(columns, ["order"]).count("<tr id=") == 2
    numbers = claims.numbers(columns)
    counted = [numbers[f"{basis}_{verdict}"] for basis in ("count", "times", "cpu_shared") for verdict in VERDICTS]
    assert numbers["entries"] == len(CLAIMS) == sum(counted)
    assert (numbers["cpu_precise_nnnr_best"], numbers["cpu_shared_nnnr_best"]) == ("supported", "contradicted")


def test_what_holds_what_does_not_and_what_is_open() -> None:
    columns = {("cpu", "precise"): evaluate(CLAIMS, evidence([])), ("cpu", "shared"): evaluate(CLAIMS, evidence([]))}
    columns["reduced", "precise"] = list(world(as_the_paper_says).values())  # decides what the first leaves open
    pages = [claims.summary(columns, verdicts) for verdicts in (VERDICTS[:1], VERDICTS[1:2], VERDICTS[2:])]
    assert "nnnr has the lowest error of Table I" in pages[0]
    assert "nnnr has 74.8 % fewer parameters" in pages[1]
    assert pages[2] == "<ul class='claims'><li>none</li></ul>"
    nothing = claims.summary({("cpu", "precise"): evaluate(CLAIMS, evidence([]))}, VERDICTS[2:])
    assert f"{BY_KEY['nnnr-best'].text} (untested)" in nothing


def test_runs_on_stand_ins_have_no_column() -> None:
    run = runs_of(as_the_paper_says)[0]
    stand_in = changed(run, data={"stand_in": "crops"})
    assert all(name != claims.HERE for name, _ in claims.columns(evidence([stand_in])))


def test_the_ledger_as_pictures() -> None:
    columns = {
        ("cpu", "precise"): list(world(as_the_paper_says).values()),
        ("here", "precise"): evaluate(CLAIMS, evidence([])),
    }
    marks = claims.verdicts(columns, "made up").axes[0]
    assert len(marks.lines) >= 2 * len(CLAIMS)
    shapes = {(line.get_marker(), line.get_color()) for line in marks.lines if line.get_linestyle() == "None"}
    assert len({marker for marker, _ in shapes}) >= 3  # told apart without colour
    rows = {" ".join(label.get_text().split()) for label in marks.get_yticklabels()}  # sentences, and no short names
    assert rows == {claim.text for claim in CLAIMS}
    nothing = {("here", "precise"): columns["here", "precise"]}
    style.render(claims.verdicts(nothing, "no runs at all"))
