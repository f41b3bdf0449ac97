"""The paper's checkable claims as data, and their verdicts.

`ledger` lists the claims, `verdicts` judges them, `comparisons` has the tests, `evidence` the measured numbers.
"""
