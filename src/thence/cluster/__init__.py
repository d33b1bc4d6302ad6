"""Counting n-grams of more text than one machine holds, on a Dask cluster; the model is the same.

``models/ngram/blocks.py`` has the tasks of the workers as plain functions; ``engine.py`` submits
them to Dask, and only it imports Dask; ``job.py`` goes from many files to the counts.
"""

from thence.cluster.engine import connect
from thence.cluster.job import check_recipe, count_on_cluster

__all__ = ["check_recipe", "connect", "count_on_cluster"]
