"""Work that takes long is done beside the event loop, which goes on answering others."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

FEW = 32
"""Tokens whose work is sooner done than handed to another thread."""


async def off_loop(tokens: int, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function whose work grows with the tokens, in another thread if they are many."""
    if tokens <= FEW:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)
