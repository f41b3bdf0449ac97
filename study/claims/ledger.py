"""The paper's claims in its order, a row each. `verdicts` states how they are judged.

Not in it, because these experiments cannot tell: that more data do not help a model that is too simple (two sizes of
data set do not show it), and that they take longer to train on (four times the steps by construction); that AEL needs
longer training; that a network too shallow learns too little and one too deep takes too long; that improvement ends
where the receptive field covers the picture; that a network can iterate without end (any schedule can go on; no test
ends); that quality does not depend on the machine; which epsilon trains faster
(III-A contradicts itself); and the reasons given for what was seen. That the techniques carry over to other recurrent
networks is judged by `study.figures.converged`. "Smoothly" and "steadily" mean less spiky than the model they are set
against.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from agm.config import ORL_CONFIGURATIONS, GeneratorConfig
from agm.networks.complexity import count, fewer, parameters
from agm.networks.generator import Generator
from agm.schedule import Schedule
from study.claims.comparisons import (
    Counted,
    Range,
    impact_of_last,
    last_layers,
    less_data,
    levels_sooner,
    more_n_spikier,
    over_noael,
    placements,
    printed_errors,
    same_order,
    saving,
    sooner,
    versus,
    within,
)
from study.claims.evidence import NEAR
from study.claims.verdicts import Claim
from study.experiments import TABLE_1, with_recurrent
from study.paper import PAPER_TABLE_1

AEL = ("A", "B")
DEEP, SHALLOW = ("rrrr", "rrnr"), ("nnrr", "nnnr")
"""The models of Section III-C with mostly recurrent layers, and those with mostly plain ones."""
SINGLE_N = with_recurrent(3)
BUT_RRRN = tuple(layers for layers in SINGLE_N if layers != "rrrn")
OTHERS = tuple(layers for layers in ORL_CONFIGURATIONS if layers != "rrrr")
PLAIN_END = ("rnnn", "nrnn", "nnrn", "nnnn")
"""The models of Fig. 4(b) whose last layer is plain."""
BEST = ("best 1r", "best 2r", "best 3r")

LOWER, HIGHER, MUCH, SIMILAR = Range(high=1), Range(low=1), Range(low=NEAR), Range(1 / NEAR, NEAR)


def cancelled_recurrent(layers: str, schedule: str) -> int:
    """Number of recurrent layers that a schedule skips at some iteration."""
    always = [all(active) for active in zip(*Schedule.parse(schedule).masks, strict=True)]
    return sum(letter == "r" and not active for letter, active in zip(layers, always, strict=True))


def first_active(schedule: str) -> int:
    """Number of layers that are active in the first iteration."""
    return sum(Schedule.parse(schedule).masks[0])


def counted(layers: str) -> Counted:
    """A model's parameters."""
    return Counted(lambda: parameters(GeneratorConfig(layers)), "parameters")


def recurrent_over_plain(of: Callable[[nn.Module], int]) -> float:
    """A recurrent layer's number of something over that of a plain one in its place: the least of the four ratios."""
    with torch.device("meta"):
        recurrent, plain = (Generator(GeneratorConfig(layers)).layers for layers in ("rrrr", "nnnn"))
    return min(of(r) / of(n) for r, n in zip(recurrent, plain, strict=True))


def products(layer: nn.Module) -> int:
    """Multiplications per pixel: a convolution has one for each of its weights."""
    return sum(parameter.numel() for parameter in layer.parameters() if parameter.dim() == 4)


def exactly(number: float, digit: float = 1) -> Range:
    """The range of numbers that round to the printed one."""
    return Range(number - digit / 2, number + digit / 2)


# fmt: off
CLAIMS: tuple[Claim, ...] = (
    # key, section, where, the paper's value, what it says: what is compared, where that must lie
    *(Claim(f"parameters-{m}", "III-B1", "table1", f"{number:,}", f"{m} has {number:,} parameters", counted(m),
            exactly(number)) for m, (number, _) in PAPER_TABLE_1.items()),
    Claim("parameters-saved", "III-B1", "table1", "74.8 %", "nnnr has 74.8 % fewer parameters than rrrr",
          Counted(lambda: fewer("nnnr"), "%"), exactly(74.8, 0.1)),
    Claim("parameters-by-kind", "III-C", "table1", "significantly more", "A recurrent layer has significantly more "
          "parameters than a plain one", Counted(lambda: recurrent_over_plain(count), "times as many"), MUCH),
    Claim("recurrent-costs-more", "II-C", "table1", "necessarily fewer", "A recurrent layer takes more operations "
          "than a plain one", Counted(lambda: recurrent_over_plain(products), "times as many"), HIGHER),
    Claim("errors-printed", "III-B1", "table1", "0.0068, 0.0070, 0.0069, 0.0075", "The networks of Table I have the "
          "printed errors, if MSE averages over the colours", printed_errors(1), SIMILAR, full_size=True),
    Claim("errors-printed-summed", "III-B1", "table1", "0.0068, 0.0070, 0.0069, 0.0075", "The networks of Table I have "
          "the printed errors, if MSE sums over the colours, as the formula says", printed_errors(3), SIMILAR,
          full_size=True),
    Claim("table-nnnr-best", "III-B1", "table1", "0.0068, the lowest", "nnnr has the lowest error of Table I",
          versus(["nnnr"], TABLE_1), LOWER),
    Claim("table-rrrr-worst", "III-B1", "table1", "0.0075, the highest", "rrrr has the highest error of Table I",
          versus(["rrrr"], TABLE_1), HIGHER),
    *(Claim(f"best-{m}", "III-B1", "table1", "the best of them", f"{m} has the lowest error of all networks with "
            f"{amount}", versus([m], with_recurrent(m.count("r"))), LOWER) for m, amount in
      (("nnnr", "one recurrent layer"), ("nnrr", "two recurrent layers"), ("rrnr", "three recurrent layers"))),
    Claim("fewer-faster", "III-B1", "table1", "reduced", "The networks of Table I with plain layers need less time for "
          "all pictures than rrrr", versus(TABLE_1[:-1], ["rrrr"], "all images"), LOWER),
    Claim("nnnr-best", "III-B1", "fig4", "top of all 16", "nnnr has the lowest error of all 16 networks",
          versus(["nnnr"], ORL_CONFIGURATIONS), LOWER),
    Claim("one-n-better", "III-B1", "fig4", "all four", "Every network with one plain layer has a lower error than "
          "rrrr", versus(SINGLE_N, ["rrrr"]), LOWER),
    Claim("one-n-sooner", "III-B1", "fig4", "more quickly", "Networks with one plain layer, rrrn left out, get to "
          "where rrrr ends in fewer epochs than rrrr", sooner(BUT_RRRN, ["rrrr"]), LOWER),
    Claim("one-n-smoother", "III-B1", "fig4", "smoothly", "Networks with one plain layer, rrrn left out, have less "
          "spiky learning curves than rrrr", versus(BUT_RRRN, ["rrrr"], "spikiness"), LOWER),
    Claim("rrrn-unstable", "III-B1", "fig4", "unstable", "rrrn's learning curve is spikier than those of rrrr and of "
          "the others with one plain layer", versus(["rrrn"], (*SINGLE_N, "rrrr"), "spikiness"), HIGHER),
    Claim("not-all-recurrent", "III-B1", "fig4", "not necessarily the strongest", "Some network with plain layers has "
          "a lower error than rrrr", versus(OTHERS, ["rrrr"], any=True), LOWER),
    Claim("one-r-spiky", "III-B1", "fig4", "all but nnnr", "With at most one recurrent layer, networks with a plain "
          "last layer are spikier than nnnr", versus(PLAIN_END, ["nnnr"], "spikiness"), HIGHER),
    Claim("more-n-spikier", "III-B1", "fig4", "increases", "Of the networks with a plain last layer, those with more "
          "plain layers are spikier", more_n_spikier(), HIGHER),
    Claim("nnnr-sooner", "III-B1", "fig4", "faster", "nnnr gets to where rrrr ends in fewer epochs than rrrr",
          sooner(["nnnr"], ["rrrr"]), LOWER),
    Claim("fewer-no-worse", "V", "fig4", "not necessarily worse", "Some network with fewer recurrent layers is no "
          "worse than rrrr", versus(OTHERS, ["rrrr"], any=True), Range(high=1.01)),
    *(Claim(f"last-r-stable-{role}", "III-B2", "fig5", "stable with r, not with n", f"On {name}, learning curves are "
            "spikier with a plain last layer than with a recurrent one", last_layers(role), HIGHER)
      for role, name in (("cars", "CARDATA"), ("faces", "FACEDATA"))),
    Claim("last-matters-most", "III-B2", "fig5", "larger impact", "The kind of the last layer changes the stability "
          "more than that of any other", impact_of_last("cars"), HIGHER),
    Claim("placement-matters", "III-B2", "fig5", "critical", "With the number of recurrent layers the same, their "
          "places change the error by more than a tenth", placements(), MUCH),
    Claim("less-data-worse", "III-B3", "fig6", "every model; four are compared", "The networks of Table I have a "
          "higher error when trained on a quarter of the data", less_data(TABLE_1), HIGHER),
    Claim("less-data-much-worse", "III-B3", "fig6", "much higher", "The networks of Table I have a much higher error "
          "when trained on a quarter of the data", less_data(TABLE_1), MUCH),
    Claim("less-data-sooner", "III-B3", "fig6", "earlier, likely", "Trained on a quarter of the data, the networks of "
          "Table I level off in fewer epochs", levels_sooner(TABLE_1), LOWER),
    Claim("less-data-slower-with-r", "III-B3", "fig6", "significantly less quickly", "On a quarter of the data, rrrr "
          "and rrnr take more epochs than nnrr and nnnr to get to where rrrr ends", sooner(DEEP, SHALLOW, 0.25),
          HIGHER),
    Claim("less-data-nnnr-best", "III-B3", "fig6", "exceeds all others; four are compared", "On a quarter of the "
          "data, nnnr has the lowest error of Table I's networks", versus(["nnnr"], TABLE_1, fraction=0.25), LOWER),
    *(Claim(f"rrrr-worst-{role}", "III-B3", "fig7", "the worst", f"On {name}, rrrr has a higher error than the best "
            "networks with one, two and three r", versus(["rrrr"], BEST, role=role), HIGHER)
      for role, name in (("cars", "CARDATA"), ("faces", "FACEDATA"), ("geo", "GEODATA"))),
    Claim("rrrr-unstable-geo", "III-B3", "fig7", "unstable, the others steady", "On GEODATA, rrrr's learning curve "
          "is spikier than those of the best networks with one, two and three r",
          versus(["rrrr"], BEST, "spikiness", role="geo"), HIGHER),
    Claim("early-fast", "II-B", "fig8", "fast, then slow", "Under AEL the first iteration takes less time than the "
          "last", within(TABLE_1, AEL, "first iteration over last"), LOWER),
    Claim("later-better", "II-B", "fig8", "improves", "Under AEL the last picture has a lower error than the first",
          within(TABLE_1, AEL, "last mse over first"), LOWER),
    Claim("levels-off", "II-B", "fig8", "levels off", "Without AEL, the error of the last picture is within a tenth of "
          "that of the fifth", within(TABLE_1, ["NOAEL"], "last mse over fifth"), SIMILAR),
    *(Claim(f"order-{name.lower()}", "II-D", "order", "asked, not answered", f"Config. {name} leaves the order of any "
            "two networks of Table I as it is", same_order(TABLE_1, name), HIGHER) for name in AEL),
    Claim("bicubic", "III-C", "fig8", "all should exceed it", "Without AEL, every network of Table I has a lower error "
          "than bicubic upsampling", within(TABLE_1, ["NOAEL"], "mse over bicubic"), LOWER),
    Claim("bicubic-ael", "III-C", "fig8", "all should exceed it", "Under Config. A and B, every network of Table I has "
          "a lower error than bicubic upsampling", within(TABLE_1, AEL, "mse over bicubic"), LOWER),
    Claim("a-earlier", "III-C", "fig8", "earlier", "With Config. A, rrrr and rrnr give their first picture earlier "
          "than without AEL", over_noael(DEEP, "A", "first image"), LOWER),
    Claim("a-half", "III-C", "fig8", "about half", "With Config. A, the first iteration of rrrr and rrnr takes about "
          "half the time it takes without AEL", over_noael(DEEP, "A", "first image"), Range(0.4, 0.6)),
    Claim("a-slightly-worse", "III-C", "fig8", "slightly", "With Config. A, rrrr and rrnr have a slightly higher "
          "error than without AEL", over_noael(DEEP, "A"), Range(1, NEAR)),
    Claim("a-plain-worse", "III-C", "fig8", "underperform", "With Config. A, nnrr and nnnr have a higher error "
          "than rrrr and rrnr", versus(SHALLOW, DEEP, schedule="A"), HIGHER),
    Claim("a-cancels-plain", "III-C", "fig8", "only plain layers", "Config. A leaves out no recurrent layer of nnnr",
          Counted(lambda: cancelled_recurrent("nnnr", "A"), "left out"), exactly(0)),
    Claim("a-cancels-plain-nnrr", "III-C", "fig8", "a similar argument", "Config. A leaves out no recurrent layer of "
          "nnrr", Counted(lambda: cancelled_recurrent("nnrr", "A"), "left out"), exactly(0)),
    Claim("a-plain-saves-less", "III-C", "fig8", "more marginal, marks shift right", "Config. A saves nnrr and nnnr "
          "a smaller share of the time to the first picture than rrrr and rrnr", saving(SHALLOW, DEEP, "A"), HIGHER),
    Claim("b-more-active", "III-C", "fig9", "more", "Config. B has more layers active in its first iteration than "
          "Config. A", Counted(lambda: first_active("B") - first_active("A"), "more"), Range(low=0.5)),
    Claim("b-earlier", "III-C", "fig9", "all of them", "With Config. B, all networks of Table I give their first "
          "picture earlier than without AEL", over_noael(TABLE_1, "B", "first image"), LOWER),
    Claim("b-several-earlier", "III-C", "fig9", "several earlier", "With Config. B, all networks of Table I give their "
          "third picture earlier than without AEL", over_noael(TABLE_1, "B", "third image"), LOWER),
)
