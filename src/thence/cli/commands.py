"""The commands: which library function each one calls, and which function prints the result.

Flags, defaults and help are those of the library function (``flags.py``). The printing function
gets

* ``call``: calls the library function with the user's arguments; more can be added,
* ``given``: the user's arguments, by the parameter names of the library function,

and its keyword-only parameters, such as ``json``, are flags too. The modules are imported when a
command is run, so that ``thence --help`` never waits for torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """A command and the library function that it calls.

    Attributes:
        summary: Its line in the help.
        function: The library function, as ``module:name`` below ``thence``.
        printer: The function that prints its result, as ``module:name`` below ``thence.cli``.
        positional: Parameters that are positional arguments, in order.
        hidden: Parameters that are not flags.
        renamed: Flags by parameter, where their names differ.
        settings: Dataclasses whose fields are flags for the function's ``**settings``, as
            ``module:Class`` for all fields, or ``module:Class:field,field`` for some.
        takes_recipe: The function takes a recipe, built from the flags of ``thence train``, which
            depend on the model.
        opens_run: The function gets the opened run, not its folder.
        shows_defaults: The help shows the defaults of ``settings``; False if the function chooses
            other values itself.
        help: Help texts of flags, in place of the function's docstring.
    """

    summary: str
    function: str
    printer: str
    positional: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    takes_recipe: bool = False
    opens_run: bool = True
    shows_defaults: bool = True
    help: Mapping[str, str] = field(default_factory=dict)


LITERAL_HELP = (
    "A file or folder, - for standard input, or a bundled text; anything else is the text itself."
)

OTHER_TEXT = "Another text to evaluate on instead: a file, a folder, - or a named text."

COMMANDS: Mapping[str, Command] = {
    "train": Command(
        "Train a model on a text, and write a run folder with a report.",
        "training:train_recipe",
        "training:print_trained",
        ("text",),
        hidden=("progress", "logs", "in_memory"),
        renamed={"from_run": "from"},
        takes_recipe=True,
    ),
    "best": Command(
        "Train the best model of a text in a given time.",
        "autopilot:best",
        "training:print_best",
        ("text",),
        hidden=("progress", "watch", "began", "page"),
        settings=(
            "corpus:LabelOptions:label,label_separator,unlabelled",
            "corpus:ReadingOptions",
            "corpus:SplitOptions",
            "tokens:TokenOptions",
            "recipes.options:TrainingOptions:carry_context,seed,threads,device",
        ),
        shows_defaults=False,
        help={
            "text": "File, folder, - for standard input, or a named text (thence data list).",
            "label": "Column with the labels, to make a classifier (plain text: any name).",
            "by": "Which documents go where (default: by position for running text, else "
            "shuffled).",
            "tokens": "What one token is (default: words or characters, whichever promises fewer "
            "bits per byte).",
            "keep_empty": "Keep empty lines as documents without text (default: of running text).",
            "carry_context": "Let a document see those before it (default: for running text).",
        },
    ),
    "resume": Command(
        "Resume a stopped training.",
        "training:resume",
        "training:print_resumed",
        ("folder",),
        hidden=("progress", "logs"),
        renamed={"folder": "run"},
        help={"text": "The text again, if the run has kept only its hash: its path, or -."},
    ),
    "find-lr": Command(
        "Train one step at each of many learning rates, and suggest one for thence train --lr.",
        "training:find_learning_rate",
        "training:print_learning_rate",
        ("text",),
        renamed={"from_run": "from"},
        takes_recipe=True,
    ),
    "examples": Command(
        "Show the pairs of context and target that a text is cut into.",
        "batches.examples:examples",
        "texts:print_examples",
        ("texts",),
        settings=("corpus:ReadingOptions", "tokens:TokenOptions"),
        help={"texts": LITERAL_HELP},
    ),
    "sweep": Command(
        "Train with many settings and keep the best.",
        "sweeps:sweep",
        "sweep:print_sweep",
        ("recipe",),
        hidden=("watch", "text", "dev", "test"),
    ),
    "runs": Command(
        "List the runs in a folder.", "runs.description:list_runs", "runs:print_runs", ("folder",)
    ),
    "evaluate": Command(
        "Evaluate a run on its dev or test split, or on a text.",
        "evaluation.evaluate:evaluate",
        "evaluating:print_evaluation",
        ("run", "text"),
        ("labelling",),
        help={"text": OTHER_TEXT},
    ),
    "compare": Command(
        "Evaluate several runs on the same text, with intervals of all differences.",
        "evaluation.compare:compare",
        "evaluating:print_comparison",
        ("runs",),
        ("labelling",),
        help={"text": OTHER_TEXT},
    ),
    "mix": Command(
        "Average the models of several runs, with weights from dev.",
        "ensembles.mix:mix",
        "training:print_mixture",
        ("runs",),
        help={
            "runs": "Two or more runs of the same text, split, labels and tokens; one language "
            "model is enough with a cache. With --to arpa: n-gram runs of any texts, or ARPA "
            "files.",
            "output": "The run folder to make, into which the members' models are copied; with "
            "--to arpa the file.",
        },
    ),
    "score": Command(
        "Print the log-probability of texts, or rank several.",
        "evaluation.scoring:score",
        "texts:print_scores",
        ("run", "texts"),
        help={
            "texts": f"{LITERAL_HELP} Of several texts: which is more probable, and by how much."
        },
    ),
    "look": Command(
        "Look inside a model while it reads a text: every token, and why it is as likely as it is.",
        "inspection:look",
        "looking:print_look",
        ("run", "text"),
        renamed={"lenses": "lens"},
        help={
            "lenses": "What to show of each token; a name that is not known lists all of them. By "
            "default what costs little."
        },
    ),
    "pairs": Command(
        "Judge models by minimal pairs: which of two sentences is likelier (BLiMP).",
        "evaluation.pairs:pairs",
        "judging:print_pair_report",
        ("runs",),
        hidden=("files", "progress"),
        renamed={"runs": "runs-and-files"},
        help={"runs": "Run folders, then tables of pairs (.jsonl, .tsv, .csv) or folders of them."},
    ),
    "surprisal": Command(
        "Print the surprisal of each word or region of a text, as a table for studies of reading.",
        "evaluation.surprisal:surprisal",
        "judging:print_surprisals",
        ("run", "text"),
        help={"text": "A file (of a table all other columns are kept), - or a named text."},
    ),
    "rescore": Command(
        "Rerank the n-best lists of a recogniser with language models.",
        "evaluation.rescoring:rescore",
        "judging:print_rescoring",
        ("runs",),
        hidden=("nbest", "progress"),
        renamed={"runs": "runs-and-table"},
        help={"runs": "Run folders, then a table with the columns id, score, text, reference."},
    ),
    "classify": Command(
        "Predict the label of each text, and explain it.",
        "evaluation.classify:classify",
        "texts:print_labels",
        ("run", "texts"),
        help={"texts": f"{LITERAL_HELP} By default standard input."},
    ),
    "filter": Command(
        "Keep the documents of large files whose perplexity is within bounds.",
        "filtering:filter_texts",
        "filtering:print_filtered",
        ("run", "texts"),
        hidden=("below", "above", "quantile", "progress"),
        opens_run=False,
        help={
            "run": "The run folder of a language model.",
            "texts": "A file (plain text, .jsonl, .csv, .tsv, .parquet, packed ones too), a "
            "folder, several files, or - for standard input, of the kind of --output.",
        },
    ),
    "similar": Command(
        "Show the nearest neighbours of a word in the embeddings of a model.",
        "evaluation.embeddings:similar",
        "evaluating:print_similar",
        ("run", "word"),
        help={"run": "The run folder, or a file of fastText (.bin, .ftz)."},
        opens_run=False,
    ),
    "next": Command(
        "Show the most probable next tokens after a text.",
        "generation:next_tokens",
        "evaluating:print_next",
        ("run", "text"),
    ),
    "complete": Command(
        "Continue a text, with the most probable continuations or with samples.",
        "generation:complete",
        "evaluating:print_completions",
        ("run", "text"),
    ),
    "fill": Command(
        "Fill the blanks of a text.",
        "generation:fill",
        "evaluating:print_fillings",
        ("run", "text"),
        hidden=("max_exact",),
        renamed={"goes_on": "open"},
        help={
            "among": 'Rank these instead of looking for any: cat,dog,"guinea pig"; may be repeated.'
        },
    ),
    "sample": Command(
        "Sample texts from a model.",
        "generation:sample",
        "evaluating:print_samples",
        ("run",),
        settings=("generation:DecodingOptions",),
    ),
    "serve": Command(
        "Serve models over HTTP, with a web page.",
        "serve:serve",
        "runs:print_served",
        ("runs",),
        hidden=("on_start",),
        renamed={"folders": "runs"},
        settings=(
            "serve:Limits:max_tokens,max_prompt,max_body,max_requests,timeout,max_connections",
        ),
    ),
    "report": Command(
        "Write a run's report.html.",
        "reports:report",
        "runs:print_paths",
        ("runs",),
        renamed={"path": "output"},
    ),
    "plot": Command(
        "Write the figures of a run as PNG and SVG.",
        "reports:plot",
        "runs:print_paths",
        ("run",),
        hidden=("formats",),
        renamed={"folder": "output"},
        opens_run=False,
    ),
    "export": Command(
        "Write a run as one page of HTML, or for other programs: ARPA, KenLM, fastText, ONNX ...",
        "exchange:export_checked",
        "runs:print_exported",
        ("run", "path"),
        help={
            "run": "The run folder.",
            "path": "The file or folder to make.",
            "to": "Its format; by default what the suffix says: .arpa, .onnx, .html, .py "
            "(pytorch), .klm (kenlm), .vec and .txt (word2vec), .ftz (fasttext), .bin (kenlm of an "
            "n-gram run, else fasttext); arpa for other names of an n-gram run.",
            "encode_offset": "With --to arpa: write each token as the character of its id plus "
            "this number, as NeMo asks models of subwords (100).",
        },
    ),
    "import": Command(
        "Import an ARPA file, a trie of KenLM or a classifier of fastText as a run.",
        "exchange:import_model",
        "runs:print_imported",
        ("path",),
    ),
    "prune": Command(
        "Make an n-gram model smaller: an ARPA file or a run.",
        "exchange.prune:prune",
        "evaluating:print_found",
        ("model",),
        opens_run=False,
    ),
    "data list": Command(
        "List the texts that have a name.",
        "corpus:named_texts",
        "runs:print_named_texts",
    ),
    "data get": Command(
        "Download a named text and verify its checksum.",
        "corpus:get",
        "runs:print_fetched",
        ("name",),
        hidden=("progress",),
        renamed={"source": "from"},
    ),
    "doctor": Command(
        "Show what thence finds on this machine, and what does not work.",
        "environment:doctor",
        "runs:print_environment",
    ),
}
"""All commands by name, in the order of the help."""
COMMAND_GROUPS = {"data": "List and fetch named texts."}
"""Help texts of the groups of commands, such as ``thence data``."""
