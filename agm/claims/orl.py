"""The claims about ORL's errors: how many layers are recurrent, which ones, and on what data (Section III-B)."""

from __future__ import annotations

from agm.analysis import PAPER_NAMES
from agm.claims.evidence import NEAR, Group, Quantity
from agm.claims.predicates import (
    Measured,
    impact_of_last,
    last_layers,
    less_data,
    placements,
    printed_errors,
    trend,
    versus,
)
from agm.claims.verdicts import SEVERAL, Claim, Range
from agm.config import ORL_CONFIGURATIONS
from agm.experiments import LAST_PLAIN, TABLE_1, with_recurrent
from agm.profiles import ROLES

SINGLE_N = with_recurrent(3)
OTHERS = tuple(layers for layers in ORL_CONFIGURATIONS if layers != "rrrr")
PLAIN_END = ("rnnn", "nrnn", "nnrn", "nnnn")
"""The models of Fig. 4(b) whose last layer is plain."""

BEST = ("best 1r", "best 2r", "best 3r")
AMOUNTS = {1: "one recurrent layer", 2: "two recurrent layers", 3: "three recurrent layers"}


def slower_with_more() -> Measured:
    """On a quarter of the data: epochs until the validation MSE is where rrrr ends, by number of recurrent layers."""
    reference = Group("rrrr", fraction=0.25)
    groups = {layers: Group(layers, fraction=0.25) for layers in TABLE_1}
    counts = {Quantity(g, "epochs to reference", reference): layers.count("r") for layers, g in groups.items()}
    return trend(counts, "recurrent layers, epochs")


def more_n_spikier() -> Measured:
    """Of the models with a plain last layer: spikiness by number of plain layers."""
    return trend({Quantity(Group(m), "spikiness"): m.count("n") for m in LAST_PLAIN}, "plain layers, spikiness")


NUMBER = (
    Claim(
        "errors-printed",
        "The models of Table I have the printed errors",
        "III-B1",
        "0.0068, 0.0070, 0.0069, 0.0075",
        "table1",
        printed_errors(),
        Range(1 / NEAR, NEAR),
        full_size=True,
    ),
    Claim(
        "table-nnnr-best",
        "nnnr has the lowest error of Table I",
        "III-B1",
        "0.0068, the lowest",
        "table1",
        versus(["nnnr"], TABLE_1),
        Range(high=1),
    ),
    Claim(
        "table-rrrr-worst",
        "rrrr has the highest error of Table I",
        "III-B1",
        "0.0075, the highest",
        "table1",
        versus(["rrrr"], TABLE_1),
        Range(low=1),
    ),
    *(
        Claim(
            f"best-{layers}",
            f"{layers} has the lowest error of all models with {AMOUNTS[layers.count('r')]}",
            "III-B1",
            "the best of them",
            "table1",
            versus([layers], with_recurrent(layers.count("r"))),
            Range(high=1),
        )
        for layers in ("nnnr", "nnrr", "rrnr")
    ),
    Claim(
        "nnnr-best",
        "nnnr has the lowest error of all 16 models",
        "III-B1",
        "top of all 16",
        "fig4",
        versus(["nnnr"], ORL_CONFIGURATIONS),
        Range(high=1),
    ),
    Claim(
        "one-n-better",
        "Every model with one plain layer has a lower error than rrrr",
        "III-B1",
        "all four",
        "fig4",
        versus(SINGLE_N, ["rrrr"]),
        Range(high=1),
    ),
    Claim(
        "one-n-sooner",
        "Models with one plain layer, rrrn left out, get to where rrrr ends in fewer epochs than rrrr",
        "III-B1",
        "more quickly",
        "fig4",
        versus([m for m in SINGLE_N if m != "rrrn"], ["rrrr"], "epochs to reference", reference="rrrr"),
        Range(high=1),
        needs=SEVERAL,
    ),
    Claim(
        "rrrn-unstable",
        "rrrn's learning curve is spikier than those of rrrr and of the others with one plain layer",
        "III-B1",
        "unstable",
        "fig4",
        versus(["rrrn"], (*SINGLE_N, "rrrr"), "spikiness"),
        Range(low=1),
        needs=SEVERAL,
    ),
    Claim(
        "not-all-recurrent",
        "Some model with plain layers has a lower error than rrrr",
        "III-B1",
        "not necessarily the strongest",
        "fig4",
        versus(OTHERS, ["rrrr"], any=True),
        Range(high=1),
    ),
    Claim(
        "one-r-spiky",
        "With at most one recurrent layer, models with a plain last layer are spikier than nnnr",
        "III-B1",
        "all but nnnr",
        "fig4",
        versus(PLAIN_END, ["nnnr"], "spikiness"),
        Range(low=1),
        needs=SEVERAL,
    ),
    Claim(
        "more-n-spikier",
        "Of the models with a plain last layer, those with more plain layers are spikier",
        "III-B1",
        "increases",
        "fig4",
        more_n_spikier(),
        Range(low=0),
        needs=SEVERAL,
    ),
    Claim(
        "nnnr-sooner",
        "nnnr gets to where rrrr ends in fewer epochs than rrrr",
        "III-B1",
        "faster",
        "fig4",
        versus(["nnnr"], ["rrrr"], "epochs to reference", reference="rrrr"),
        Range(high=1),
        needs=SEVERAL,
    ),
    Claim(
        "fewer-faster",
        "The models of Table I with plain layers need less time for all images than rrrr",
        "III-B1",
        "reduced",
        "table1",
        versus(TABLE_1[:-1], ["rrrr"], "total seconds"),
        Range(high=1),
        needs=SEVERAL,
    ),
    Claim(
        "fewer-no-worse",
        "Some model with fewer recurrent layers is no worse than rrrr",
        "V",
        "not necessarily worse",
        "fig4",
        versus(OTHERS, ["rrrr"], any=True),
        Range(high=1.01),
    ),
)

PLACEMENT = (
    *(
        Claim(
            f"last-r-stable-{role}",
            f"On {PAPER_NAMES[role]}, learning curves are spikier with a plain last layer than with a recurrent one",
            "III-B2",
            "stable with r, not with n",
            "fig5",
            last_layers(role),
            Range(low=1),
            needs=SEVERAL,
        )
        for role in ("cars", "faces")
    ),
    Claim(
        "last-matters-most",
        "The kind of the last layer changes the stability more than that of any other",
        "III-B2",
        "larger impact",
        "fig5",
        impact_of_last("cars"),
        Range(low=1),
        needs=SEVERAL,
    ),
    Claim(
        "placement-matters",
        "With the number of recurrent layers the same, their places change the error by more than a tenth",
        "III-B2",
        "critical",
        "fig5",
        placements(),
        Range(low=NEAR),
    ),
)

DATA = (
    Claim(
        "less-data-worse",
        "The models of Table I have a higher error when trained on a quarter of the data",
        "III-B3",
        "every model; four are compared",
        "fig6",
        less_data(TABLE_1),
        Range(low=1),
    ),
    Claim(
        "less-data-much-worse",
        "The models of Table I have a much higher error when trained on a quarter of the data",
        "III-B3",
        "much higher",
        "fig6",
        less_data(TABLE_1),
        Range(low=NEAR),
    ),
    Claim(
        "less-data-sooner",
        "Trained on a quarter of the data, the models of Table I level off in fewer epochs",
        "III-B3",
        "earlier, likely",
        "fig6",
        less_data(TABLE_1, "epochs to own"),
        Range(high=1),
        needs=SEVERAL,
    ),
    Claim(
        "less-data-slower-with-r",
        "On a quarter of the data, models with more recurrent layers take more epochs to get to where rrrr ends",
        "III-B3",
        "significantly less quickly",
        "fig6",
        slower_with_more(),
        Range(low=0),
        needs=SEVERAL,
    ),
    Claim(
        "less-data-nnnr-best",
        "On a quarter of the data, nnnr has the lowest error of Table I's models",
        "III-B3",
        "exceeds all others; four are compared",
        "fig6",
        versus(["nnnr"], TABLE_1, fraction=0.25),
        Range(high=1),
    ),
    Claim(
        "more-data-longer",
        "Training on all the data takes longer than on a quarter",
        "III-B3",
        "increases",
        "fig6",
        less_data(TABLE_1, "training seconds"),
        Range(high=1),
        needs=SEVERAL,
    ),
    *(
        Claim(
            f"rrrr-worst-{role}",
            f"On {PAPER_NAMES[role]}, rrrr has a higher error than the best models with one, two and three r",
            "III-B3",
            "the worst",
            "fig7",
            versus(["rrrr"], BEST, role=role),
            Range(low=1),
        )
        for role in ROLES
    ),
    Claim(
        "rrrr-unstable-geo",
        "On GEODATA, rrrr's learning curve is spikier than those of the best models with one, two and three r",
        "III-B3",
        "unstable",
        "fig7",
        versus(["rrrr"], BEST, "spikiness", role="geo"),
        Range(low=1),
        needs=SEVERAL,
    ),
)
