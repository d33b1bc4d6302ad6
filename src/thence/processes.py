"""Whether ``torchrun`` has started several processes; known without torch."""

import os
from pathlib import Path


def number_of_processes() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def local_number() -> int:
    """Return the number of this process on its machine: that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def number_of_machines() -> int:
    """Return on how many machines ``torchrun`` has started processes."""
    return int(os.environ.get("GROUP_WORLD_SIZE", "1"))


def may_be_restarted() -> bool:
    """Whether ``torchrun`` starts the processes anew where one fails (``--max-restarts``)."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def launch() -> str:
    """Return what tells this machine's ``torchrun`` apart from all others, of any time.

    It is the folder that ``torchrun`` makes for its logs, of a random name, which all its restarts
    share. Empty where it starts nothing anew.
    """
    # .../torchelastic_RANDOM/ID_RANDOM/attempt_NUMBER/PROCESS/error.json
    place = Path(os.environ.get("TORCHELASTIC_ERROR_FILE", ""))
    return "/".join(place.parts[-5:-3]) if may_be_restarted() else ""
