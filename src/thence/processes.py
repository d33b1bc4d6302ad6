"""Whether ``torchrun`` has started several processes; known without torch."""

import os


def number_of_processes() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def local_number() -> int:
    """Return the number of this process on its machine: that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def times_restarted() -> int:
    """Return how often ``torchrun`` has started this process's group anew, after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def may_be_restarted() -> bool:
    """Whether ``torchrun`` starts the processes anew where one fails (``--max-restarts``)."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0
