"""Build hook: compiles the C files of ``src/thence/_core`` into the one library that wheels carry.

The library is plain C that ctypes loads, so one wheel fits every Python of a platform. It is built
with the system's compiler or, where there is none, with the compiler in the package ``ziglang``,
which is then asked for as a build dependency. Where that fails too, the wheel is built without the
library, and NumPy does the same work more slowly.

    python hatch_build.py              build for this machine, into the source folder
    THENCE_TARGET=aarch64-linux ...    build for another platform, with ziglang

Environment variables:
    THENCE_TARGET: One of ``TARGETS``.
    CC: The compiler to use instead of the first one found.
    THENCE_CORE: ``require`` makes a library that cannot be built an error, ``none`` builds none.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
FOLDER = ROOT / "src" / "thence" / "_core"
FLAGS = (
    "-std=c11", "-O3", "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off",
    "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra",
)  # fmt: skip
"""Nothing for the processor at hand: a wheel runs on others. No multiplication and addition are
contracted into one, so that every compiler gives the same bits; roots are the processor's. Nobody
waits for floating-point exceptions, so that a choice between two numbers need not be a branch."""


@dataclass(frozen=True)
class Target:
    """A platform that wheels are built for.

    Attributes:
        zig: What ziglang calls it, with the oldest C library or system it has to run on.
        tag: What pip calls it.
        suffix: Ending of a library's name.
    """

    zig: str
    tag: str
    suffix: str


TARGETS = {
    "x86_64-linux": Target(
        "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64.manylinux2014_x86_64", "so"
    ),
    "aarch64-linux": Target(
        "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64.manylinux2014_aarch64", "so"
    ),
    "arm64-macos": Target("aarch64-macos.11.0", "macosx_11_0_arm64", "dylib"),
    "x86_64-macos": Target("x86_64-macos.11.0", "macosx_11_0_x86_64", "dylib"),
    "x86_64-windows": Target("x86_64-windows-gnu", "win_amd64", "dll"),
}


def suffix_here() -> str:
    """Return the ending of a library's name on this machine."""
    return {"Darwin": "dylib", "Windows": "dll"}.get(platform.system(), "so")


def tag_here() -> str:
    """Return the platform tag of a wheel that is built for this machine only."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def system_compiler() -> list[str] | None:
    """Return the command of the system's C compiler; None: there is none that is known to work."""
    if chosen := os.environ.get("CC"):
        return shlex.split(chosen)
    if platform.system() == "Windows":
        return None
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    return None if found is None else [found]


def compile_library(
    target: Target | None = None, folder: Path = FOLDER, flags: tuple[str, ...] = ()
) -> Path:
    """Compile all C files; return the path of the library.

    Args:
        target: Another platform; None: this machine.
        folder: Where the library goes.
        flags: More flags, such as those of a sanitizer.

    Raises:
        RuntimeError: If there is no compiler, or it fails.
    """
    command = None if target else system_compiler()
    if command is None:
        if find_spec("ziglang") is None:
            raise RuntimeError("there is no C compiler (cc, gcc, clang or the package ziglang)")
        command = [sys.executable, "-m", "ziglang", "cc"]
        command += ["-target", target.zig] if target else []
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"core.{target.suffix if target else suffix_here()}"
    new = library.with_name(f"new-{os.getpid()}-{library.name}")  # Nobody loads half a library.
    sources = sorted(str(path) for path in FOLDER.glob("*.c"))
    run = subprocess.run(
        [*command, *FLAGS, *flags, *sources, "-o", str(new), "-lm"], capture_output=True, text=True
    )
    try:
        if run.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{run.stderr.strip()}")
        new.replace(library)
    finally:
        for left in folder.glob(f"{new.stem}*"):  # On Windows also a table of exports.
            left.unlink()
    return library


def build_here() -> Path | None:
    """Compile the library for this machine into the source folder; return its path.

    None if ``THENCE_CORE`` forbids it, or it cannot be built.

    Raises:
        RuntimeError: If it cannot be built and ``THENCE_CORE`` asks for it.
    """
    wish = os.environ.get("THENCE_CORE", "")
    if wish == "none":
        return None
    try:
        return compile_library()
    except (RuntimeError, OSError) as error:
        if wish == "require":
            raise
        (FOLDER / f"core.{suffix_here()}").unlink(missing_ok=True)  # Of older files.
        print(f"thence is built without its compiled core: {error}", file=sys.stderr)
        return None


def main() -> None:
    """Build for this machine."""
    library = build_here()
    if library is not None:
        print(library.relative_to(ROOT))


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # Run by hand, by a Python without hatchling.
    pass
else:

    class CoreBuildHook(BuildHookInterface[Any]):
        """What hatchling calls before it builds a wheel, also for an editable installation."""

        def dependencies(self) -> list[str]:
            """Return ``ziglang`` where no compiler is found."""
            wanted = os.environ.get("THENCE_CORE", "") != "none"
            needs_zig = os.environ.get("THENCE_TARGET") or system_compiler() is None
            return ["ziglang>=0.13"] if wanted and needs_zig else []

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Build the library and say which platform the wheel is for."""
            name = os.environ.get("THENCE_TARGET")
            if name and name not in TARGETS:
                raise ValueError(f"THENCE_TARGET={name} is none of {', '.join(TARGETS)}.")
            if name:
                target = TARGETS[name]
                library = compile_library(target, ROOT / "build" / name)
                inside = f"thence/_core/{library.name}"
                build_data["force_include"][str(library)] = inside
                build_data["tag"] = f"py3-none-{target.tag}"
            elif built := build_here():
                build_data["artifacts"].append(built.relative_to(ROOT).as_posix())
                build_data["tag"] = f"py3-none-{tag_here()}"
            else:
                return
            build_data["pure_python"] = False


if __name__ == "__main__":
    main()
