"""Defaults of decoding, those of pyctcdecode: numbers that were found there go on being right."""

DEFAULT_ALPHA = 0.5
"""Weight of the language model's log-probability."""
DEFAULT_BETA = 1.5
"""Nats that each word adds, against the language model's preference for few words."""
DEFAULT_UNK_LOGP_OFFSET = -10.0
"""Added to the log10 probability of a word that is not in the list of words."""
DEFAULT_BEAM_WIDTH = 100
"""Beams kept after each frame."""
DEFAULT_HOTWORD_WEIGHT = 10.0
"""Nats that a hotword adds."""
DEFAULT_PRUNE_LOGP = -10.0
"""Beams so many nats below the best are dropped."""
DEFAULT_PRUNE_BEAMS = False
"""Whether of beams that end in the same words only the best is kept."""
DEFAULT_MIN_TOKEN_LOGP = -5.0
"""Labels below this log-probability are not tried in a frame, unless they are its likeliest."""
DEFAULT_SCORE_LM_BOUNDARY = True
"""Whether the language model scores the beginning and the end of a text as such."""

AVG_TOKEN_LEN = 6
"""Characters of a word on average; what is unknown and longer costs in proportion."""
MIN_TOKEN_CLIP_P = 1e-15
"""Probability of a label at least, so that a malformed frame rules nothing out."""
