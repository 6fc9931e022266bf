"""Scores of a network's answers, as numbers: no pictures, and no network.

summary.py      `Scores`: everything that follows from labels and probabilities, computed once
metrics.py      accuracy, confusion, precision, recall, F1, and the accuracy of each writer
calibration.py  how well probabilities match accuracy, and the temperature that improves the match
rejection.py    accuracy against coverage when the least certain images are refused
intervals.py    confidence intervals of an accuracy
tables.py       scores as CSV, JSON and aligned text
predictions.py  predictions.csv: how each image was read, and whether two networks differ by chance

scikit-learn and SciPy take about a second to import, so the functions that need them import them.
"""
