"""What a network's answers are worth, in numbers: no pictures, and no network.

summary.py      `Scores`, all that follows from labels and probabilities, each computed once
metrics.py      accuracy, confusion, precision, recall, F1, and the accuracy of each writer
calibration.py  whether probabilities hold, and the temperature that mends them
rejection.py    accuracy against coverage when the least certain are refused
intervals.py    how far a measured accuracy may lie from the true one
tables.py       all of it as CSV, JSON and aligned text

scikit-learn and SciPy take about a second to import, so the functions that need them import them.
"""
