"""A drop-in for the archived package ``fasttext``: change the import, and nothing else.

::

    import thence.fasttext as fasttext

    model = fasttext.train_supervised("train.txt", wordNgrams=2)
    labels, probabilities = model.predict("which dish is best for bread ?", k=2)
    model.save_model("model.bin")

Names, arguments, shapes and errors are those of its last release, 0.9.2. It needs no torch. The
differences are in ``docs/how-to/from-fasttext.md``.
"""

from thence.fasttext import FastText as FastText
from thence.fasttext import util as util
from thence.fasttext.FastText import BOW as BOW
from thence.fasttext.FastText import EOS as EOS
from thence.fasttext.FastText import EOW as EOW
from thence.fasttext.FastText import load_model as load_model
from thence.fasttext.FastText import tokenize as tokenize
from thence.fasttext.FastText import train_supervised as train_supervised
from thence.fasttext.FastText import train_unsupervised as train_unsupervised
