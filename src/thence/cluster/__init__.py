"""Counting n-grams of more text than one machine holds, on a Dask cluster; the model is the same.

``models/ngram/blocks.py`` is what a worker does, plain functions; ``engine.py`` hands them to Dask,
and is all that knows of it; ``job.py`` goes from many files to the counts.
"""

from thence.cluster.engine import connect
from thence.cluster.job import check_recipe, count_on_cluster

__all__ = ["check_recipe", "connect", "count_on_cluster"]
