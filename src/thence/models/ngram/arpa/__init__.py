r"""ARPA files: the text format of n-gram models that KenLM, SRILM and others read and write.

    \data\
    ngram 1=4
    ngram 2=3

    \1-grams:
    -0.6        a       -0.3        log10 p(a), the word, log10 of its back-off weight

    \end\

One symbol is the boundary here and two are in a file: as a context it is ``<s>``, as a target it
is ``</s>``. Spaces, tabs and the ends of lines in a symbol are written as ``<U+0020>``; other white
space, such as a no-break space, is part of words there as it is here (``thence.tokens.cutting``).
"""

from thence.models.ngram.arpa.reading import ArpaModel, read_arpa
from thence.models.ngram.arpa.writing import arpa_lines, write_arpa

__all__ = ["ArpaModel", "arpa_lines", "read_arpa", "write_arpa"]
