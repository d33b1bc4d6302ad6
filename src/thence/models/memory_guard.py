"""Sizes of memory as people write them."""

import re

from thence.errors import SettingError

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kMGT]?)B?")


def memory_bytes(flag: str, text: str) -> int:
    """Return a size such as ``500MB`` or ``1GB`` in bytes.

    Args:
        flag: What it was given for, for the message.
        text: The size.

    Raises:
        SettingError: If it is not a size.

    >>> memory_bytes("--memory", "1.5 GB")
    1500000000
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise SettingError(f"{flag} is {text!r}; write it like 500MB or 1GB.")
    return int(float(found[1]) * 1000 ** " kMGT".index(found[2] or " "))
