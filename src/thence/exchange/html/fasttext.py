"""The model ``fasttext`` on a page: its arrays for ``page/fasttext.js``.

Product-quantised matrices are expanded, and each column is quantised with its own scale.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from thence.array_types import Float32
from thence.exchange.html.packing import Bits, Pack, rounded
from thence.models.fasttext.contents import Dense, Matrix
from thence.models.labels.fasttext import FastText


def quantized(model: FastText, bits: Bits) -> FastText:
    """Return a copy whose input matrix is rounded to ``bits`` bits, as on the page."""
    columns = np.ascontiguousarray(_dense(model.contents.input).T)
    table = Dense(np.ascontiguousarray(rounded(columns, bits).T))
    found = FastText(model.options, 0, model.classes)
    found.set_model(replace(model.contents, input=table), model.tensors()["columns"])
    return found


def _dense(matrix: Matrix) -> Float32[np.ndarray, "rows dim"]:
    return matrix.rows(np.arange(matrix.shape[0]))


def describe(pack: Pack, model: FastText, bits: Bits, name: str) -> dict[str, Any]:
    """Add a classifier's arrays to a pack; return its description for the script."""
    contents = model.contents
    arguments, dictionary = contents.arguments, contents.dictionary
    output = contents.columns if contents.norms is None else contents.columns * contents.norms
    pruned = dictionary.pruned
    return {
        "kind": "fasttext",
        "words": dictionary.words.names(),
        "loss": arguments.loss,
        "ngrams": arguments.word_ngrams,
        "shortest": arguments.minn,
        "longest": arguments.maxn,
        "buckets": arguments.bucket,
        "columns": model.tensors()["columns"].tolist(),
        "input": pack.add(f"{name}input", np.ascontiguousarray(_dense(contents.input).T), bits),
        "output": pack.add(f"{name}output", np.ascontiguousarray(output.T)),
        "pruned": None if pruned is None else pack.add(f"{name}pruned", pruned),
        "tree": [
            [level.nodes.tolist(), level.left.tolist(), level.right.tolist()]
            for level in (contents.tree if arguments.loss == "hs" else [])
        ],
    }
