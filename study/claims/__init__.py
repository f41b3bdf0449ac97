"""The paper's checkable claims as data, and their verdicts: *supported*, *contradicted* or *inconclusive*.

`ledger` holds the claims, `verdicts` the rule by which they are judged, `comparison` sets one set of runs against
another.
"""
