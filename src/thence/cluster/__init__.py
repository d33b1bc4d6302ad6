"""Counting n-grams of more text than one machine holds, on a cluster; the model is the same.

``models/ngram/tasks.py`` is what a worker does, plain functions; ``engine.py`` hands them to Dask,
and is all that knows of it; ``job.py`` is the whole way from many files to a run.
"""

from thence.cluster.job import count_on_cluster

__all__ = ["count_on_cluster"]
