"""The environment variables of ``torchrun``: ranks and world size, without importing torch."""

import os
from pathlib import Path


def number_of_processes() -> int:
    """Return how many processes train together (world size)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Return whether this process has rank 0: it writes files and prints."""
    return os.environ.get("RANK", "0") == "0"


def local_rank() -> int:
    """Return the rank of this process on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def number_of_machines() -> int:
    """Return the number of machines (nodes) on which ``torchrun`` has started processes."""
    return int(os.environ.get("GROUP_WORLD_SIZE", "1"))


def may_be_restarted() -> bool:
    """Return whether ``torchrun`` restarts all processes if one fails (``--max-restarts``)."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def launch_id() -> str:
    """Return a unique id of this machine's ``torchrun``, the same after restarts; else "".

    It is the random name of the folder that ``torchrun`` makes for its logs.
    """
    # .../torchelastic_RANDOM/ID_RANDOM/attempt_NUMBER/PROCESS/error.json
    place = Path(os.environ.get("TORCHELASTIC_ERROR_FILE", ""))
    return "/".join(place.parts[-5:-3]) if may_be_restarted() else ""
