"""What thence finds on this machine: versions, processor, memory, cache folder, extras, devices.

PyTorch, which takes seconds to load, is imported only if asked for.
"""

import math
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from thence._core import why_missing
from thence.corpus import cache_folder
from thence.corpus.opening import free_memory
from thence.models.memory_guard import gigabytes, machine_memory
from thence.results import Serializable, format_pairs

EXTRAS = {
    "eval": "scikit-learn's interface",
    "serve": "thence serve",
    "sweep": "thence sweep",
    "logs": "thence train --logs tensorboard",
    "data": "Parquet and zstd files",
    "hf": "Hugging Face",
    "onnx": "ONNX",
    "cluster": "thence train --cluster",
}
"""The extras of ``pyproject.toml`` and what each is for, without those for developers."""
REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[.*?\])?(?P<bounds>[^;]*)(?:;.*extra == .(?P<extra>\w+).)?"
)
BOUND = re.compile(r"(>=|<)([\d.]+)")
GPUS = Path("/proc/driver/nvidia/gpus")
"""Folder in which NVIDIA's driver for Linux describes each GPU."""
PROCESSORS = Path("/proc/cpuinfo")
PROCESSOR_TIME = Path("/sys/fs/cgroup/cpu.max")
"""A container's limit of processor time: quota and period in microseconds; ``max``: no limit."""
LEAST_SPACE = 100_000_000
"""Free bytes of disk below which a problem is reported: a text of 50 MB has tokens of this size."""
BFLOAT16 = re.compile(r"\b(?:avx512_bf16|amx_bf16|bf16)\b")
"""Processor flags of bfloat16 instructions; ``--torch`` measures whether they are faster."""


@dataclass(frozen=True)
class Extra:
    """An extra: optional libraries that some commands need.

    Attributes:
        purpose: What it is for.
        missing: Its libraries that are not installed, or in an unsuitable version.
        command: The command that installs them.
    """

    purpose: str
    missing: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class TorchDevice:
    """The device on which PyTorch trains here.

    Attributes:
        name: Its kind (``cpu``, ``cuda``, ``mps``) and its product name.
        memory: Bytes of memory of a GPU; None for the processor.
        fast_bfloat16: Whether ``--precision auto`` may choose bfloat16: it is faster than float32.
    """

    name: str
    memory: int | None
    fast_bfloat16: bool


@dataclass(frozen=True)
class Check:
    """A part of the self-test: a model is trained and scores a text.

    Attributes:
        name: What was trained.
        expected: The correct log-probability of the text in nats.
        tolerance: Allowed relative difference.
        found: The measured log-probability in nats.
        seconds: Duration.
    """

    name: str
    expected: float
    tolerance: float
    found: float
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the measured log-probability is within the tolerance."""
        return math.isclose(self.expected, self.found, rel_tol=self.tolerance)


@dataclass(frozen=True)
class Environment(Serializable):
    """The installed versions, and the machine's processor, memory, disk and devices.

    Attributes:
        thence: Version.
        python: Version.
        executable: The Python that runs.
        system: Operating system and kind of processor.
        libraries: Version of each required library; None: it is not installed.
        processor: Name.
        bfloat16: Whether the processor reports bfloat16 instructions; None: unknown.
        cores: Number of processors that this process may use.
        memory: Bytes of memory of the machine, or of the container.
        free_memory: Free bytes of memory; None where the system does not report them.
        without_core: Why NumPy replaces the compiled core; None: the core is loaded.
        gpus: Names of NVIDIA's GPUs, as reported by the driver on Linux.
        cache_folder: Folder of downloaded texts and of the tokens of large texts.
        cache_space: Free bytes on its disk; None if it cannot be written.
        extras: The optional libraries, by the name of the extra.
        torch: The device on which PyTorch trains, if that was asked for.
        test: The parts of the self-test that were run.
        problems: What does not work, in sentences.
    """

    thence: str
    python: str
    executable: str
    system: str
    libraries: dict[str, str | None]
    processor: str
    bfloat16: bool | None
    cores: int
    memory: int
    free_memory: int | None
    without_core: str | None
    gpus: tuple[str, ...]
    cache_folder: str
    cache_space: int | None
    extras: dict[str, Extra]
    torch: TorchDevice | None
    test: tuple[Check, ...]
    problems: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values to show."""
        libraries = [f"{name} {found or 'missing'}" for name, found in self.libraries.items()]
        free = "" if self.free_memory is None else f", {gigabytes(self.free_memory)} free"
        space = (
            "not writable" if self.cache_space is None else f"{gigabytes(self.cache_space)} free"
        )
        rows = [
            ("thence", self.thence),
            ("Python", f"{self.python}, {self.executable}"),
            ("system", self.system),
            ("libraries", ", ".join(libraries)),
            ("compiled core", "yes" if self.without_core is None else f"no: {self.without_core}"),
            ("processor", f"{self.processor}, {self.cores} cores to use"),
            ("bfloat16", {True: "yes", False: "no", None: "unknown"}[self.bfloat16]),
            ("memory", gigabytes(self.memory) + free),
            ("GPU", ", ".join(self.gpus) or "none seen"),
            ("cache folder", f"{self.cache_folder}, {space}"),
        ]
        if self.torch is not None:
            memory = "" if self.torch.memory is None else f", {gigabytes(self.torch.memory)}"
            faster = "faster" if self.torch.fast_bfloat16 else "not faster"
            rows.append(("PyTorch uses", f"{self.torch.name}{memory}; bfloat16 is {faster}"))
        for name, extra in self.extras.items():
            how = f"{', '.join(extra.missing)} missing, {extra.command}"
            rows.append((f"extra {name}", f"{how if extra.missing else 'yes'} ({extra.purpose})"))
        for check in self.test:
            found = f"{'passed' if check.passed else 'FAILED'}, {check.found:.6f} nats"
            rows.append((f"test {check.name}", f"{found}, {check.seconds:.1f} s"))
        return rows

    def __str__(self) -> str:
        return "\n".join([*format_pairs(self.rows()), *self.problems])


def doctor(*, torch: bool = False, test: bool = False) -> Environment:
    """Return versions, processor, memory, disk and devices of this machine, and what does not work.

    Args:
        torch: Load PyTorch, which takes seconds, and report its device and whether bfloat16 is
            fast there.
        test: Train two tiny models, an n-gram model and a network of PyTorch, and compare their
            log-probabilities with the correct ones.
    """
    libraries: dict[str, str | None] = {}
    extras: dict[str, list[str]] = {name: [] for name in EXTRAS}
    problems = []
    for name, bounds, extra in _requirements():
        installed = _version_of(name)
        if extra is None:
            libraries[name] = installed
        if installed is not None and _is_within(installed, bounds):
            continue
        if extra in extras:
            extras[extra].append(name)
        elif extra is None:
            problems.append(f"{name} is {installed or 'missing'}: pip install '{name}{bounds}'.")
    folder = cache_folder()
    space = _space(folder)
    if space is None:
        problems.append(f"The cache folder {folder} cannot be written: set THENCE_HOME to another.")
    elif space < LEAST_SPACE:
        problems.append(f"The disk of the cache folder {folder} is full but for {space:,} bytes.")
    checks = tuple(_self_test()) if test else ()
    problems += [
        f"Test {check.name}: {check.found:.6f} nats instead of {check.expected:.6f}."
        for check in checks
        if not check.passed
    ]
    free = free_memory()
    return Environment(
        thence=version("thence"),
        python=platform.python_version(),
        executable=sys.executable,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        libraries=libraries,
        processor=_processor(),
        bfloat16=_has_bfloat16(),
        cores=usable_cores(),
        memory=machine_memory(),
        free_memory=free if free < machine_memory() else None,
        without_core=why_missing(),
        gpus=tuple(_gpus()),
        cache_folder=str(folder),
        cache_space=space,
        extras={
            name: Extra(EXTRAS[name], tuple(missing), f"pip install 'thence[{name}]'")
            for name, missing in extras.items()
        },
        torch=_torch_device() if torch else None,
        test=checks,
        problems=tuple(problems),
    )


def _requirements() -> Iterator[tuple[str, str, str | None]]:
    """Yield each library's name, its required versions, and its extra (None: always required)."""
    for line in requires("thence") or []:
        if 'python_version < "3.14"' in line and sys.version_info >= (3, 14):
            continue
        found = REQUIREMENT.match(line)
        assert found is not None  # It is our own metadata.
        yield found["name"], found["bounds"].strip(), found["extra"]


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_within(installed: str, bounds: str) -> bool:
    """Return whether a version is within bounds such as ``<3,>=2.6``.

    >>> _is_within("2.13.0+cpu", "<3,>=2.6"), _is_within("1.26.4", ">=2"), _is_within("6.0", "<6")
    (True, False, False)
    """
    pairs = [(sign, _numbers(installed), _numbers(bound)) for sign, bound in BOUND.findall(bounds)]
    return all(have >= wanted if sign == ">=" else have < wanted for sign, have, wanted in pairs)


def _numbers(version_or_bound: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``(2, 13, 0)`` of ``2.13.0+cpu``."""
    found = re.match(r"\d+(?:\.\d+)*", version_or_bound)
    return tuple(map(int, found[0].split("."))) if found else ()


def usable_cores() -> int:
    """Return the number of processors that this process may use: affinity and container limit."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit, _, period = _read(PROCESSOR_TIME).partition(" ")
    if limit.isdigit() and period.strip().isdigit():
        cores = min(cores, math.ceil(int(limit) / int(period)))
    return cores


def _processor() -> str:
    """Return the name of the processor."""
    named = re.search(r"^model name\s*: (.+)", _read(PROCESSORS), re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _has_bfloat16() -> bool | None:
    """Return whether the processor's flags have bfloat16; None if there are no flags."""
    flags = re.search(r"^(?:flags|Features)\s*: .+", _read(PROCESSORS), re.MULTILINE)
    return None if flags is None else BFLOAT16.search(flags[0]) is not None


def _gpus() -> Iterator[str]:
    """Yield the names of NVIDIA's GPUs."""
    for path in sorted(GPUS.glob("*/information")):
        named = re.search(r"^Model:\s*(.+)", _read(path), re.MULTILINE)
        yield named[1] if named else "of unknown name"


def _read(path: Path) -> str:
    """Return the content of a system file; an empty string if it cannot be read."""
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _space(folder: Path) -> int | None:
    """Return the free bytes for a folder, which need not exist yet; None if not writable."""
    try:
        nearest = next(one for one in (folder, *folder.parents) if one.exists())
        with TemporaryFile(dir=nearest):
            return shutil.disk_usage(nearest).free
    except OSError:
        return None


def _torch_device() -> TorchDevice:
    """Return the device that PyTorch chooses by default, and measure its bfloat16."""
    import torch

    from thence.training.device import choose_device, has_fast_bfloat16

    device = choose_device("auto")
    fast = has_fast_bfloat16(device)
    if device.type != "cuda":
        return TorchDevice(device.type, None, fast)
    found = torch.cuda.get_device_properties(device)
    return TorchDevice(f"cuda, {found.name}", found.total_memory, fast)


TEST_TEXTS = ("ab", "ba") * 5
WITTEN_BELL_NATS = 3 * math.log(5 / 12 + 2 / 12 * (10 / 33 + 3 / 33 / 4))
"""Log-probability of ``ab`` by Witten and Bell's bigram. Each of its three pairs (boundary and a, a
and b, b and boundary) occurs in 5 of the 10 texts, and two distinct symbols follow the first symbol
of each: (5 + 2 p(unigram)) / (10 + 2). Each of the three symbols is 10 of 30 targets; with the
unknown one there are four: p(unigram) = (10 + 3 / 4) / (30 + 3)."""
NETWORK_NATS = 3 * math.log(1 / 2)
"""Log-probability of ``ab`` by a trained network: each of two symbols follows in half the texts."""


def _self_test() -> Iterator[Check]:
    """Yield the parts of the self-test as they are done."""
    with TemporaryDirectory(prefix="thence-") as folder:
        train = partial(_train_and_score, Path(folder))
        counting = partial(train, "ngram", order=2, smoothing="witten-bell")
        yield _timed("counts", WITTEN_BELL_NATS, 1e-6, counting)
        yield _timed("network", NETWORK_NATS, 0.01, partial(train, "bigram", steps=100, lr=0.3))


def _timed(name: str, expected: float, tolerance: float, work: Callable[[], float]) -> Check:
    """Return the result of a part of the self-test, with its duration."""
    began = time.perf_counter()
    found = work()
    return Check(name, expected, tolerance, found, time.perf_counter() - began)


def _train_and_score(folder: Path, model: str, **settings: Any) -> float:
    """Train on the texts of the test, write and open the run, and score the first of them."""
    from thence.evaluation.scoring import score
    from thence.training import train

    output = folder / model
    train(TEST_TEXTS, model, output=output, split="100/0/0", **settings)
    return float(score(output, TEST_TEXTS[:1])[0]["log_probability"])
