"""Dask, Ray Data and Spark on one job: the n-grams of a folder of files, counted by two workers.

    python benchmarks/counting_engines.py path/to/folder [--workers 2] [--engine dask ray spark]

The folder holds plain text, one document a line. What a worker does is the same for all, the
functions of ``thence.models.ngram.blocks``; the engines only send it around. Each runs in a process
of its own, three times; those that are not installed are left out. Every result is compared with
counting at once. Kept are the seconds from nothing to workers that answer, those of the two passes
over the text and those to end, and what an engine adds to an installation of numpy alone. Ray needs
its extra ``ray[data]``, Spark a Java runtime, whose size is not counted.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROUNDS, Results
from packaging.requirements import Requirement

from thence.corpus import ReadingOptions, read_documents
from thence.corpus.blocks import cut_into_blocks, find_files
from thence.models.ngram.blocks import (
    Part,
    Plan,
    Survey,
    assemble,
    count_block,
    join_surveys,
    merge,
    ranges_of_words,
    survey,
)
from thence.models.ngram.counting import count_ngrams
from thence.tokens import TokenOptions, learn_tokens, tokenizer_from_counts

READING = ReadingOptions()
TOKENS = TokenOptions(tokens="words", word_split="whitespace")
ORDER = 5
BLOCK = 1 << 20
PACKAGES = {"dask": "distributed", "ray": "ray[data]", "spark": "pyspark"}
COMMAND = "python benchmarks/counting_engines.py FOLDER"

Run = Callable[[Sequence[Any], Callable[[Survey], Plan], int], tuple[list[Part], list[float]]]
"""Given blocks, what makes a plan of their survey, and workers: the parts, and the clock."""


def with_dask(
    blocks: Sequence[Any], plan_of: Callable[[Survey], Plan], workers: int
) -> tuple[list[Part], list[float]]:
    """Count as ``thence train --cluster`` does."""
    from thence.cluster import engine

    with engine.connect(f"local:{workers}") as client:
        clock = [time.perf_counter()]
        given = [(block,) for block in blocks]
        found = engine.map_reduce(client, survey, given, join_surveys, nothing, READING, TOKENS)
        clock.append(time.perf_counter())
        plan, both = plan_of(found), [(block, None) for block in blocks]
        size, parts = plan.vocabulary_size, len(plan.bounds) - 1
        shared = engine.broadcast(client, plan)
        merged = engine.map_shuffle_merge(
            client, count_block, both, parts, merge, nothing, shared, merge_with=size
        )
        clock.append(time.perf_counter())
    return merged, clock


def with_ray(
    blocks: Sequence[Any], plan_of: Callable[[Survey], Plan], workers: int
) -> tuple[list[Part], list[float]]:
    """Count with data sets of Ray."""
    import pickle

    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    clock = [time.perf_counter()]
    rows = ray.data.from_items([{"block": pickle.dumps(block)} for block in blocks])
    rows = rows.repartition(len(blocks))
    surveyed = rows.map(
        lambda row: {"survey": pickle.dumps(survey(pickle.loads(row["block"]), READING, TOKENS))}
    )
    found = join_surveys([pickle.loads(row["survey"]) for row in surveyed.take_all()])
    clock.append(time.perf_counter())
    plan = plan_of(found)
    shared, size = ray.put(plan), plan.vocabulary_size

    def counted(row: dict[str, Any]) -> list[dict[str, Any]]:
        parts = count_block(pickle.loads(row["block"]), None, ray.get(shared))
        return [{"number": n, "part": pickle.dumps(part)} for n, part in enumerate(parts)]

    def merged_rows(group: dict[str, Any]) -> dict[str, Any]:
        part = merge([pickle.loads(part) for part in group["part"]], size)
        return {"number": group["number"][:1], "part": [pickle.dumps(part)]}

    grouped = rows.flat_map(counted).groupby("number", num_partitions=len(plan.bounds) - 1)
    merged = grouped.map_groups(merged_rows).take_all()
    merged.sort(key=lambda row: row["number"])
    parts = [pickle.loads(row["part"]) for row in merged]
    clock.append(time.perf_counter())
    ray.shutdown()
    return parts, clock


def with_spark(
    blocks: Sequence[Any], plan_of: Callable[[Survey], Plan], workers: int
) -> tuple[list[Part], list[float]]:
    """Count with resilient distributed data sets."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{workers}]")
    session = builder.config("spark.ui.enabled", "false").getOrCreate()
    context = session.sparkContext
    context.parallelize([0], 1).count()
    clock = [time.perf_counter()]
    rows = context.parallelize(blocks, len(blocks))
    surveyed = rows.map(lambda block: survey(block, READING, TOKENS))
    found = surveyed.treeReduce(lambda one, other: join_surveys([one, other]))
    clock.append(time.perf_counter())
    plan = plan_of(found)
    shared, size, parts = context.broadcast(plan), plan.vocabulary_size, len(plan.bounds) - 1
    merged = (
        rows.flatMap(lambda block: enumerate(count_block(block, None, shared.value)))
        .groupByKey(parts)
        .mapValues(lambda some: merge(list(some), size))
        .collect()
    )
    clock.append(time.perf_counter())
    session.stop()
    return [part for _, part in sorted(merged, key=lambda pair: pair[0])], clock


ENGINES: dict[str, Run] = {"dask": with_dask, "ray": with_ray, "spark": with_spark}


def nothing() -> None:
    """Hear of a task that is done."""


def measure(engine: str, folder: str, workers: int) -> dict[str, float]:
    """Count a folder in this process and its workers; return the seconds of each stage."""
    blocks = cut_into_blocks(find_files(folder), READING, BLOCK)
    documents = read_documents(folder, READING)
    tokenizer, store = learn_tokens(documents, TOKENS)
    size = len(tokenizer.vocabulary)
    bounds = ranges_of_words(np.bincount(store.targets, minlength=size), 2 * workers)

    def plan_of(found: Survey) -> Plan:
        made = tokenizer_from_counts(found.symbols, TOKENS)
        assert made.content_hash() == tokenizer.content_hash()
        return Plan(READING, made, ORDER, bounds, None)

    started = time.perf_counter()
    parts, clock = ENGINES[engine](blocks, plan_of, workers)
    clock = [started, *clock, time.perf_counter()]
    for found, once in zip(
        assemble(parts, size), count_ngrams(store, ORDER, size, False), strict=True
    ):
        assert all(np.array_equal(vars(found)[name], vars(once)[name]) for name in vars(found))
    names = ("start", "symbols", "n-grams", "stop")
    seconds = dict(zip(names, np.diff(clock).tolist(), strict=True))
    return {**seconds, "total": sum(seconds.values())}


def weight(requirement: str) -> tuple[float, int]:
    """Return the megabytes and the number of packages that an engine needs beside numpy."""
    seen: set[str] = set()
    waiting, total = [Requirement(requirement)], 0
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        if name in seen or name == "numpy":
            continue
        seen.add(name)
        package = importlib.metadata.distribution(wanted.name)
        paths = [Path(str(file.locate())) for file in package.files or []]
        total += sum(path.stat().st_size for path in paths if path.is_file())
        for line in package.requires or []:
            needed = Requirement(line)
            extras = [*wanted.extras, ""]
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return total / 1e6, len(seen)


def main() -> None:
    """Measure the engines that are installed, each in processes of its own; keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--measure", choices=list(ENGINES), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.measure, chosen.folder, chosen.workers)))
        return
    for engine in chosen.engine:
        package = Requirement(PACKAGES[engine]).name
        if importlib.util.find_spec(package) is None:
            continue
        command = [sys.executable, __file__, chosen.folder, "--workers", str(chosen.workers)]
        runs = []
        for _ in range(ROUNDS):
            done = subprocess.run(
                [*command, "--measure", engine], capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"{engine} failed:\n{done.stderr[-3000:]}")
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        size, packages = weight(PACKAGES[engine])
        seconds = {name: [run[name] for run in runs] for name in runs[0]}
        note = f"{size:.0f} MB in {packages} packages beside numpy"
        Results("counting_engines", COMMAND, (package,)).add(
            engine, engine, seconds, "s", note=note
        )


if __name__ == "__main__":
    main()
