"""Names and numbers printed in the paper."""

PAPER_NAMES = {"cars": "CARDATA", "faces": "FACEDATA", "geo": "GEODATA"}
"""Role of a data set in profiles -> the paper's name for it."""

PAPER_TABLE_1 = {
    "nnnr": (1335683, 0.0068),
    "nnrr": (2220419, 0.0070),
    "rrnr": (3105155, 0.0069),
    "rrrr": (3989891, 0.0075),
}
"""Table I: parameters and MSE."""

COLOURS = 3
"""Number of colours. The paper's formula of the MSE, read literally, sums over them."""
