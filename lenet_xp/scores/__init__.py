"""Scores of a network's answers, as numbers: no pictures, and no network.

scikit-learn and SciPy take about a second to import, so the functions that need them import them.
"""
