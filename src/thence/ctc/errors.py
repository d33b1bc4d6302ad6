"""The error of decoders."""

from thence.errors import SettingError


class DecodingError(SettingError, ValueError):
    """Labels, logits or settings that cannot be decoded; a ValueError too, as in pyctcdecode."""
