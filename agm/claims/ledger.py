"""Every claim of the paper that runs or counting can check, in the paper's order. See `verdicts` for the rule.

Left out is what these experiments cannot decide: that data are no cure-all for a model that is too simple (two sizes of
data set do not show it), that AEL needs longer training, and why nnnr is best.
"""

from __future__ import annotations

from agm.claims.evidence import NEAR
from agm.claims.orl import DATA, NUMBER, PLACEMENT
from agm.claims.predicates import Counted, over_noael, same_order, saving, versus, within
from agm.claims.size import PARAMETERS
from agm.claims.verdicts import SEVERAL, Claim, Range
from agm.experiments import TABLE_1
from agm.schedule import Schedule

SECTIONS = ("II-B", "II-D", "III-B1", "III-B2", "III-B3", "III-C", "V")
"""The paper's sections that make claims."""

AEL = ("A", "B")
DEEP, SHALLOW = ("rrrr", "rrnr"), ("nnrr", "nnnr")
"""The models of Section III-C with mostly recurrent layers, and those with mostly plain ones."""


def cancelled_recurrent(layers: str, schedule: str) -> int:
    """How many recurrent layers a schedule ever leaves out."""
    always = [all(active) for active in zip(*Schedule.parse(schedule).masks, strict=True)]
    return sum(letter == "r" and not active for letter, active in zip(layers, always, strict=True))


def first_active(schedule: str) -> int:
    """How many layers are active in the first iteration."""
    return sum(Schedule.parse(schedule).masks[0])


SCHEDULES = (
    Claim(
        "early-fast",
        "Under AEL the first iteration takes less time than the last",
        "II-B",
        "fast, then slow",
        "fig8",
        within(TABLE_1, AEL, "first seconds", "last seconds"),
        Range(high=1),
        needs=SEVERAL,
    ),
    Claim(
        "later-better",
        "Under AEL the last image has a lower error than the first",
        "II-B",
        "improves",
        "fig8",
        within(TABLE_1, AEL, "last mse", "first mse"),
        Range(high=1),
    ),
    *(
        Claim(
            f"order-{name.lower()}",
            f"The models of Table I are in the same order with Config. {name} as without AEL",
            "II-D",
            "asked, not answered",
            "order",
            same_order(TABLE_1, name),
            Range(low=5 / 6),  # one exchange of neighbours among four models makes it 2/3
            needs=SEVERAL,
        )
        for name in AEL
    ),
    Claim(
        "bicubic",
        "Without AEL, every model of Table I has a lower error than bicubic upsampling",
        "III-C",
        "all should exceed it",
        "fig8",
        within(TABLE_1, ["NOAEL"], "mse", "bicubic"),
        Range(high=1),
    ),
    Claim(
        "bicubic-ael",
        "Under Config. A and B, every model of Table I has a lower error than bicubic upsampling",
        "III-C",
        "all should exceed it",
        "fig8",
        within(TABLE_1, AEL, "mse", "bicubic"),
        Range(high=1),
    ),
    Claim(
        "a-earlier",
        "With Config. A, rrrr and rrnr give their first image earlier than without AEL",
        "III-C",
        "earlier",
        "fig8",
        over_noael(DEEP, "A", "first image"),
        Range(high=1),
        needs=SEVERAL,
    ),
    Claim(
        "a-half",
        "With Config. A, the first iteration of rrrr and rrnr takes about half the time it takes without AEL",
        "III-C",
        "about half",
        "fig8",
        over_noael(DEEP, "A", "first image"),
        Range(0.4, 0.6),
        needs=SEVERAL,
    ),
    Claim(
        "a-slightly-worse",
        "With Config. A, rrrr and rrnr have a slightly higher error than without AEL",
        "III-C",
        "slightly",
        "fig8",
        over_noael(DEEP, "A"),
        Range(1, NEAR),
    ),
    Claim(
        "a-plain-worse",
        "With Config. A, nnrr and nnnr perform worse than rrrr and rrnr: have a higher error, as III-A2 has it",
        "III-C",
        "underperform",
        "fig8",
        versus(SHALLOW, DEEP, schedule="A"),
        Range(low=1),
    ),
    Claim(
        "a-cancels-plain",
        "Config. A leaves out no recurrent layer of nnnr",
        "III-C",
        "only plain layers",
        "fig8",
        Counted(lambda: cancelled_recurrent("nnnr", "A")),
        Range(-0.5, 0.5),
    ),
    Claim(
        "a-cancels-plain-nnrr",
        "Config. A leaves out no recurrent layer of nnrr either",
        "III-C",
        "a similar argument",
        "fig8",
        Counted(lambda: cancelled_recurrent("nnrr", "A")),
        Range(-0.5, 0.5),
    ),
    Claim(
        "a-plain-saves-less",
        "Config. A saves nnrr and nnnr a smaller share of the time to the first image than rrrr and rrnr",
        "III-C",
        "more marginal",
        "fig8",
        saving(SHALLOW, DEEP, "A"),
        Range(low=1),
        needs=SEVERAL,
    ),
    Claim(
        "b-more-active",
        "Config. B has more layers active in its first iteration than Config. A",
        "III-C",
        "more",
        "fig9",
        Counted(lambda: first_active("B") - first_active("A")),
        Range(low=0.5),
    ),
    Claim(
        "b-earlier",
        "With Config. B, all models of Table I give their first image earlier than without AEL",
        "III-C",
        "all of them",
        "fig9",
        over_noael(TABLE_1, "B", "first image"),
        Range(high=1),
        needs=SEVERAL,
    ),
    Claim(
        "b-several-earlier",
        "With Config. B, all models of Table I give their third image earlier than without AEL",
        "III-C",
        "several earlier",
        "fig9",
        over_noael(TABLE_1, "B", "third image"),
        Range(high=1),
        needs=SEVERAL,
    ),
)

CLAIMS: tuple[Claim, ...] = (*PARAMETERS, *NUMBER, *PLACEMENT, *DATA, *SCHEDULES)
