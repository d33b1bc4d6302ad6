"""Classifiers as estimators of scikit-learn, for its pipelines, searches and cross-validation.

>>> from thence.sklearn import TextClassifier
>>> texts = ["warm and sunny", "cold and wet", "sunny and dry", "wet and grey"] * 5
>>> weather = ["good", "bad", "good", "bad"] * 5
>>> TextClassifier("linear").fit(texts, weather).predict(["a sunny day", "grey and cold"]).tolist()
['good', 'bad']
"""

from thence.errors import import_extra

import_extra("sklearn", "eval", "TextClassifier")

from thence.sklearn.classifier import TextClassifier  # noqa: E402  (needs scikit-learn)

__all__ = ["TextClassifier"]
