"""Export of embeddings in the text format of word2vec."""

from pathlib import Path

import numpy as np

from thence.evaluation.embeddings import word_embeddings
from thence.runs.run import Run
from thence.tokens import write_vectors


def export_word2vec(run: Run, path: Path) -> None:
    """Write the embeddings of words, or of the run's other kind of tokens.

    Raises:
        RunError: If the run has none.
        OSError: If the file cannot be written.
    """
    embeddings = word_embeddings(run)
    # The fields of a line are separated by spaces, so tokens with white space are left out.
    kept = [index for index, word in enumerate(embeddings.words) if word.split() == [word]]
    words = [embeddings.words[index] for index in kept]
    write_vectors(path, words, embeddings.matrix[kept].astype(np.float32))
