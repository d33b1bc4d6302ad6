"""Looking inside a model while it reads a text: its tokens, and lenses that show more of each."""

from thence.inspection.look import look
from thence.inspection.result import LabelLook, Look
from thence.inspection.tokens import Token

__all__ = ["LabelLook", "Look", "Token", "look"]
