"""Hostile input for every door of the package, and the problems that it may cause.

`doors.py` makes a case from a seed and a number, `attempt.py` runs it in this process under watch,
`pool.py` runs many, `outcome.py` finds the problems. `python -m studies.fuzz` is the long run, and
test_fuzz.py the short one.
"""
