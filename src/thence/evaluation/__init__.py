"""Evaluation: metrics of one run, comparisons of several, and scores and labels of given texts."""
