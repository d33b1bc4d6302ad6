"""What the bodies of all requests have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

MOST_NAMES = 64
"""Names that an object of a request may have: each unknown one would have an error of its own."""


class Body(BaseModel):
    """An object of a request: no name is unknown, no value is turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _look_over(cls, given: Any) -> Any:
        """Read null as what is not given, as OpenAI's API does."""
        if not isinstance(given, dict):
            return given
        if len(given) > MOST_NAMES:
            raise PydanticCustomError("too_many_names", f"it may have {MOST_NAMES} names at most")
        return {name: value for name, value in given.items() if value is not None}
