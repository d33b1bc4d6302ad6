"""Classifiers: one file per family, and the table that names them.

Adding a family touches its file, one line of ``CLASSIFIERS`` and its test (see CONTRIBUTING.md).
"""

from thence.classifiers.interface import Classes, Classifier, FittedClassifier

__all__ = ["Classes", "Classifier", "FittedClassifier"]
