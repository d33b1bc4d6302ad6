# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Words, and text that runs on
#
# From letters to words, and from names to running text. We train a network on eight sentences,
# cut a real text into words, count, let a recurrent network remember, and put both together. The
# road is that of two lectures: one on a fixed-window model of words, one on recurrent language
# models.
#
# The next cell installs thence where it is missing (on Colab, say). All cells together take about
# a minute.

# %%
from importlib.util import find_spec

if find_spec("thence") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "thence"], check=True)

# %% [markdown]
# `python-docs` is the English in Python's own docstrings: 13,000 paragraphs, nearly 300,000
# words, and on every machine already. Its numbers differ a little from one version of Python to
# the next. The classic text is the Penn Treebank: put `TEXT = "ptb"` here if you have it (`thence
# data get ptb`; it is for benchmarks only).

# %%
import shutil
from itertools import islice
from pathlib import Path

import thence
from thence.corpus import load

TEXT = "python-docs"
STEPS = 200  # Of training the networks. With the Penn Treebank take 5,000, and some patience.
RUNS = Path("runs") / "notebook-2"
if TEXT == "ptb":
    START, WORD = "the company said it", "company"
    SENTENCE = "the company said it will sell its elephants next year"
    BLANK = "the company ___ its shares"
else:
    START, WORD = "return a list of", "list"
    SENTENCE = "return a list of the names of the elephants in the given directory."
    BLANK = "return a ___ of the names in the file."


def new(name):
    """Return a folder for a run; an earlier run of the same cell makes place for it."""
    shutil.rmtree(RUNS / name, ignore_errors=True)
    return RUNS / name


# %% [markdown]
# ## A network on eight sentences
#
# The smallest case first. Eight short sentences hold a dozen words. The network of the first
# lecture looks at two words, gives each 5 numbers, has 12 units in the hidden layer, and answers
# with a probability for every word. The loss of one answer is
#
# $$-\ln P(\text{the word that came})$$
#
# and nothing else: with a target that is all zeros but for a single one, the sum of the
# cross-entropy has one term.

# %%
for sentence in load("first-sentences"):
    print(sentence)

# %%
tiny = thence.train(
    "first-sentences",
    "mlp",
    tokens="words",
    context=2,
    embedding_size=5,
    hidden_size=12,
    steps=100,
    split="100/0/0",
    output=new("tiny"),
)
thence.next_tokens(tiny, "the dog", count=5)

# %% [markdown]
# After "the dog" came "sat", "ran" and the end of the sentence, once each, and the network says
# so. The lecture, with sentences that leave no choice, gets 0.785 for the right word after 20
# epochs and 0.989 after 100. This is a warning: on the text it was trained on, any model
# looks good. So from here on we evaluate on text that the model has not seen.
#
# ## Words, and those that are unknown
#
# What is a word? Here: a run of letters or digits, or a single mark, in lower case. The
# vocabulary comes from the train split alone. Words that occur there less than five times become
# one symbol, `<unk>`; whatever else turns up later does too.

# %%
paragraphs = load(TEXT)
print(f"{len(paragraphs):,} paragraphs, such as")
for paragraph in islice(paragraphs, 100, 103):
    print("-", paragraph)

# %% [markdown]
# The paragraphs follow one another, so the text is cut by position: the first eight tenths are
# train, then dev, then test. And what came before is carried over from one paragraph to the next.

# %%
RUNNING = {"tokens": "words", "carry_context": True}
if TEXT == "ptb":  # Its words are cut and its rare ones marked already.
    RUNNING |= {"word_split": "whitespace"}
else:
    RUNNING |= {"lowercase": True, "min_count": 5, "by": "position"}

three = thence.train(TEXT, "ngram", order=3, output=new("three"), **RUNNING)
thence.evaluate(three)

# %% [markdown]
# Models of words are compared by *perplexity*, $e$ to the mean loss, or
#
# $$\mathrm{PPL} = P(x_1 \dots x_T)^{-1/T}$$
#
# It is the number of equally likely words that would be as hard to guess. A model that knows
# nothing has the size of the vocabulary.
#
# Mind the row of unknown targets. `<unk>` is easy to guess and says nothing, so a *smaller*
# vocabulary has a *better* perplexity, for a worse reason:

# %%
if TEXT != "ptb":
    few = thence.train(TEXT, "ngram", order=3, output=new("few"), **RUNNING | {"min_count": 50})
    report = thence.evaluate(few)
    unknown = report.unknown / report.targets
    print(f"perplexity {report.perplexity:.1f}, but {unknown:.0%} of the targets are unknown")

# %% [markdown]
# Perplexities compare only where the vocabularies are the same. Bits per byte compare always, but
# what was read as `<unk>` is not predicted there either.
#
# ## Counting further
#
# An n-gram model cuts the history off after a few words (Markov's assumption) and smooths what it
# has counted: modified Kneser-Ney takes a little from every count and gives it to the shorter
# context. More than three words help little in a text this small. On the Penn Treebank 3-grams
# have 157.8 on dev and 5-grams 148.0, the numbers of KenLM to the digit.

# %%
five = thence.train(TEXT, "ngram", order=5, output=new("five"), **RUNNING)
thence.compare([five, three])

# %% [markdown]
# ## A network that remembers
#
# A recurrent network reads word after word and carries a state along, so its context has no end:
#
# $$h_t = f(h_{t-1}, x_t) \qquad P(\cdot \mid x_{\le t}) = \mathrm{softmax}(W h_t + b)$$
#
# Plain ones forget quickly, as gradients vanish on the way back or explode; the LSTM keeps a
# second state that is only added to, and long gradients are clipped (here to 5, as in the
# lecture). The text is cut into 32 streams that are read side by side; the loss goes back through
# one window, while the state goes on into the next. The lecture does this with text8, 50,000
# words and hidden layers of 100 to 650, and reaches a perplexity of 140 on validation and 178 on
# test after long training. A minute must do here: 64 units, a few hundred steps.

# %%
lstm = thence.train(
    TEXT,
    "lstm",
    embedding_size=64,
    hidden_size=64,
    tied=True,
    window=32,
    steps=STEPS,
    threads=1,
    lr=0.01,
    output=new("lstm"),
    **RUNNING,
)
lstm

# %%
thence.compare([five, three, lstm])

# %% [markdown]
# It is behind the counts still, but it has read the text only once. Which words surprise it? And
# what does it expect?

# %%
thence.score(lstm, SENTENCE, tokens=True)

# %%
thence.next_tokens(lstm, START)

# %%
thence.similar(lstm, WORD)

# %% [markdown]
# ## Better together
#
# Counts know by heart what was seen, the network guesses by likeness. A mixture adds up their
# probabilities, with weights that dev has chosen:
#
# $$P(w \mid h) = \lambda P_1(w \mid h) + (1 - \lambda) P_2(w \mid h)$$
#
# And running text repeats itself: a word that was used a moment ago is likely to come again. A
# *cache* counts the last few hundred words as they go by.

# %%
pair = thence.mix([five, lstm], new("pair"))
cached = thence.mix([five, lstm], new("cached"), cache=500)
thence.compare([cached, pair, five, lstm])

# %% [markdown]
# The cache adapts to the text that it is evaluated on, word by word, before it sees the next word;
# results say so. The Penn Treebank, half an hour of training and `recipes/mixtures/ptb.toml` give
# 80.2 on dev and 79.8 on test in this way, where the LSTM alone has 103.9 and 99.2.
#
# ## Writing
#
# Sampling gives another text each time; always taking the most probable word gives the same text
# every time:

# %%
thence.sample(pair, 5, prefix=START, max_length=25, seed=1)

# %%
thence.complete(pair, START, count=3)

# %% [markdown]
# A model that reads from left to right can fill in a blank too: it tries every word and returns
# the most probable whole sentence.

# %%
thence.fill(pair, BLANK)

# %% [markdown]
# ## Once, at the end

# %%
thence.evaluate(cached, "test")

# %% [markdown]
# ## Exercises
#
# 1. Perplexity is $e^{\text{nats}}$ and $2^{\text{bits}}$. Check it with the numbers above.
# 2. Train the `lstm` for five times as many steps. Does it pass the 5-grams? What does the curve
#    of its card say about going on?
# 3. Put `rnn` and `gru` in place of `lstm`, and `transformer` with `context=64`. Compare them
#    all.
# 4. `thence.mix([lstm], new("neural"), neural_cache=500)` remembers states instead of words. Is
#    it better than the cache of words?
# 5. Shuffle the paragraphs (leave `by` and `carry_context` out). Which of the models suffers
#    most, and why?
