"""Schemathesis asks what the server's own description allows, and what it does not."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from thence.serve import Limits, open_runs

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("schemathesis") is None, reason="needs schemathesis")
def test_the_server_keeps_to_its_description(
    core: dict[str, Any], opinions: Any, serving: Any, here: Path
) -> None:
    models = {**core, **open_runs([opinions])}
    # In a process of its own: what it plugs into pytest shall not touch other tests.
    with serving(models, Limits(max_tokens=64)) as client:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"{client.address}/openapi.json",
                *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
                *("--max-examples", "10", "--generation-deterministic"),
                *("--no-color", "--warnings", "off"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=here,
        )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
