"""Hostile input for every door of the package, and what it must not do to it.

`doors.py` makes a case from a seed and a number, `attempt.py` runs it in this process under watch,
`pool.py` runs many, `judge.py` says what was wrong. studies/fuzz.py is the long run of it,
test_fuzz.py the short one.
"""
