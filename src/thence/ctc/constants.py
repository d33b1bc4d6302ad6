"""Defaults of decoding: those of pyctcdecode, so that settings tuned there stay valid."""

DEFAULT_ALPHA = 0.5
"""Weight of the language model's log-probability."""
DEFAULT_BETA = 1.5
"""Nats added per word (word insertion bonus), as language models prefer few words."""
DEFAULT_UNK_LOGP_OFFSET = -10.0
"""Added to the log10 probability of a word that is not in the list of known words."""
DEFAULT_BEAM_WIDTH = 100
"""Beams kept after each frame."""
DEFAULT_HOTWORD_WEIGHT = 10.0
"""Nats added per hotword."""
DEFAULT_PRUNE_LOGP = -10.0
"""Beams with a score lower than the best by more nats than this are dropped."""
DEFAULT_PRUNE_BEAMS = False
"""Whether only the best of the beams that end in the same words is kept."""
DEFAULT_MIN_TOKEN_LOGP = -5.0
"""Labels below this log-probability are skipped in a frame, unless they are its likeliest."""
DEFAULT_SCORE_LM_BOUNDARY = True
"""Whether the language model scores the beginning and the end of a text."""

AVG_TOKEN_LEN = 6
"""Mean length of a word in characters: longer unknown beginnings of words have a larger penalty."""
MIN_TOKEN_CLIP_P = 1e-15
"""Minimal probability of a label, so that a malformed frame excludes no text."""
