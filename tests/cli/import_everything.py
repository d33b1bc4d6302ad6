"""Imports every module of thence as where no extra is installed; says what fails, and fails then.

A module that needs an extra may only say which (``MissingExtraError``), so that it keeps no other
from being imported. The modules of the server are behind ``thence.serve``, which says it for them.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

EXTRAS = (
    "datasets", "distributed", "fastapi", "fsspec", "onnx", "onnxruntime", "optuna",
    "prometheus_client", "pyarrow", "pydantic", "sklearn", "sqlalchemy", "starlette", "tensorboard",
    "transformers", "uvicorn",
)  # fmt: skip
FOR_OTHER_PROGRAMS = "thence.exchange.modeling_thence"
"""Written into exported folders, for programs that have transformers."""


class WithoutExtras:
    """Finds no module of an extra."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        """Refuse the modules of extras; leave others to the finders behind this one."""
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def failures() -> list[str]:
    """Return a line for each module that cannot be imported without extras."""
    sys.meta_path.insert(0, WithoutExtras())
    thence = importlib.import_module("thence")
    missing = importlib.import_module("thence.errors").MissingExtraError
    folder = Path(thence.__file__).parent
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        try:
            importlib.import_module(name)
        except missing:
            continue
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            of_server = name.startswith("thence.serve.") and getattr(error, "name", "") in EXTRAS
            if name != FOR_OTHER_PROGRAMS and not of_server:
                found.append(f"{name}: {type(error).__name__}: {error}")
    for name in ("create_app", "open_runs"):
        try:
            getattr(importlib.import_module("thence.serve"), name)
        except missing:
            continue
        found.append(f"thence.serve.{name} does not say which extra it needs")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(failures()) or 0)
