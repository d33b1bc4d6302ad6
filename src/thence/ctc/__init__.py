"""A CTC beam search with any run as its language model; a replacement of pyctcdecode.

>>> import numpy as np
>>> from thence.ctc import Decoder
>>> probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])
>>> Decoder(["a", "b", ""]).decode(probabilities)  # 0.23 in all; "aba", the best path, has 0.21
'ab'
"""

from thence.ctc.alphabet import Alphabet
from thence.ctc.decoder import BatchBeam, Decoder, OutputBeam, Stream
from thence.ctc.drop_in import BeamSearchDecoderCTC, build_ctcdecoder
from thence.ctc.language_models import AbstractLanguageModel, LanguageModel, MultiLanguageModel

__all__ = [
    "AbstractLanguageModel",
    "Alphabet",
    "BatchBeam",
    "BeamSearchDecoderCTC",
    "Decoder",
    "LanguageModel",
    "MultiLanguageModel",
    "OutputBeam",
    "Stream",
    "build_ctcdecoder",
]
