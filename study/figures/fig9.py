"""Fig. 9: quality against time without AEL and under Config. B, for the models of Table I."""

from study.figures.tradeoff import draw, numbers, seconds, table

__all__ = ["draw", "numbers", "seconds", "table"]
