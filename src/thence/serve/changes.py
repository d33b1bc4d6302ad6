"""Whether the runs on disk are still what the server has loaded."""

import asyncio
import logging
from collections.abc import Iterable

from thence.serve.served import ServedRun


class Changes:
    """Tells the log of runs that were replaced or deleted since they were loaded, once each.

    Args:
        models: What is served.
    """

    def __init__(self, models: Iterable[ServedRun]) -> None:
        self._models = list(models)
        self._told: dict[str, str] = {}

    async def tell(self) -> None:
        """Look at the runs, and tell what is new."""
        for served in self._models:
            found = await asyncio.to_thread(served.on_disk)
            if found not in ("unchanged", self._told.get(served.name)):
                self._told[served.name] = found
                logging.getLogger("thence.serve").warning("%s", remark_of(served, found))


def remark_of(served: ServedRun, found: str) -> str:
    """Return a sentence about a run that is not what was loaded."""
    what = "has been deleted" if found == "deleted" else "has changed"
    return (
        f"The run {served.name} on disk {what} since it was loaded; the server goes on with what "
        "it loaded."
    )
