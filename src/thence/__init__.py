"""thence: train, judge, compare and sample small language models on your own text.

The public functions are imported when first used, so that ``import thence`` is instant::

    import thence

    run = thence.train("given-names", model="mlp", context=3)
    print(thence.evaluate(run, "dev"))
    print(thence.next_tokens(run, "Mari"))
    print(thence.complete(run, "Mari"))
    print(thence.fill(run, "M___a"))
    print(thence.sample(run, 10))
    thence.report(run)
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from thence.hooks import set_lookup

if TYPE_CHECKING:
    from thence.autopilot import Best as Best
    from thence.autopilot import best as best
    from thence.autopilot import read_best as read_best
    from thence.batches.examples import examples as examples
    from thence.ensembles import mix as mix
    from thence.ensembles.static import mix_ngrams as mix_ngrams
    from thence.environment import Environment as Environment
    from thence.environment import doctor as doctor
    from thence.errors import ThenceError as ThenceError
    from thence.evaluation.classify import classify as classify
    from thence.evaluation.compare import compare as compare
    from thence.evaluation.embeddings import similar as similar
    from thence.evaluation.evaluate import evaluate as evaluate
    from thence.evaluation.explain import explain as explain
    from thence.evaluation.language import LikelihoodReport as LikelihoodReport
    from thence.evaluation.pairs import pairs as pairs
    from thence.evaluation.ranking import rank as rank
    from thence.evaluation.rescoring import rescore as rescore
    from thence.evaluation.scoring import score as score
    from thence.evaluation.surprisal import surprisal as surprisal
    from thence.evaluation.unusual import calibrate as calibrate
    from thence.evaluation.verdict import verdict as verdict
    from thence.exchange import export as export
    from thence.exchange import import_arpa as import_arpa
    from thence.exchange import import_model as import_model
    from thence.exchange.prune import prune as prune
    from thence.filtering import filter_texts as filter_texts
    from thence.generation import complete as complete
    from thence.generation import fill as fill
    from thence.generation import next_tokens as next_tokens
    from thence.generation import sample as sample
    from thence.inspection import look as look
    from thence.models import Candidate as Candidate
    from thence.models import Family as Family
    from thence.models import Size as Size
    from thence.models import register_model as register_model
    from thence.recipes import Recipe as Recipe
    from thence.recipes import make_recipe as make_recipe
    from thence.recipes import read_recipe as read_recipe
    from thence.reports import plot as plot
    from thence.reports import report as report
    from thence.reports.displays import display as display
    from thence.runs import ClassifierRun as ClassifierRun
    from thence.runs import LanguageRun as LanguageRun
    from thence.runs import Run as Run
    from thence.runs import open_run as open_run
    from thence.runs.description import RunSummary as RunSummary
    from thence.runs.description import list_runs as list_runs
    from thence.sklearn import TextClassifier as TextClassifier
    from thence.sweeps import Sweep as Sweep
    from thence.sweeps import read_sweep as read_sweep
    from thence.sweeps import sweep as sweep
    from thence.tokens import TokenizerFamily as TokenizerFamily
    from thence.tokens import register_tokenizer as register_tokenizer
    from thence.training import resume as resume
    from thence.training import train as train
    from thence.training import train_recipe as train_recipe
    from thence.training.callbacks import StopTraining as StopTraining

    __version__: str

# OpenMP's threads wait for each other by spinning, which takes the processor from the threads that
# they wait for: with other programs running, two threads are then twenty times slower than one.
# This limits the spinning. PyTorch's OpenMP library reads it when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_NAMES = {
    "thence.autopilot": "Best best read_best",
    "thence.batches.examples": "examples",
    "thence.ensembles": "mix",
    "thence.ensembles.static": "mix_ngrams",
    "thence.environment": "doctor Environment",
    "thence.errors": "ThenceError",
    "thence.evaluation.classify": "classify",
    "thence.evaluation.compare": "compare",
    "thence.evaluation.embeddings": "similar",
    "thence.evaluation.evaluate": "evaluate",
    "thence.evaluation.explain": "explain",
    "thence.evaluation.language": "LikelihoodReport",
    "thence.evaluation.pairs": "pairs",
    "thence.evaluation.ranking": "rank",
    "thence.evaluation.rescoring": "rescore",
    "thence.evaluation.scoring": "score",
    "thence.evaluation.surprisal": "surprisal",
    "thence.evaluation.unusual": "calibrate",
    "thence.evaluation.verdict": "verdict",
    "thence.exchange": "export import_arpa import_model",
    "thence.exchange.prune": "prune",
    "thence.filtering": "filter_texts",
    "thence.generation": "complete fill next_tokens sample",
    "thence.inspection": "look",
    "thence.models": "Candidate Family register_model Size",
    "thence.recipes": "make_recipe read_recipe Recipe",
    "thence.reports": "plot report",
    "thence.runs": "ClassifierRun LanguageRun open_run Run",
    "thence.runs.description": "list_runs RunSummary",
    "thence.sklearn": "TextClassifier",
    "thence.sweeps": "read_sweep Sweep sweep",
    "thence.tokens": "register_tokenizer TokenizerFamily",
    "thence.training": "resume train train_recipe",
    "thence.training.callbacks": "StopTraining",
}
"""The public names of each module, which is imported when one of them is first used."""
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

_INTERNAL_HOMES = {"display": "thence.reports.displays"}
"""Functions that only methods of results call."""

# Without what needs an extra, so that import * and help() are no worse for lacking it.
__all__ = [*(name for name in _HOMES if name != "TextClassifier"), "__version__"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # It takes a tenth of the start-up time.

        return version("thence")
    if name not in _HOMES:
        raise AttributeError(f"module 'thence' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def _function(name: str) -> Any:
    """Return a function that a method of a class in a lower package calls; see ``hooks.py``."""
    return getattr(import_module((_HOMES | _INTERNAL_HOMES)[name]), name)


set_lookup(_function)
