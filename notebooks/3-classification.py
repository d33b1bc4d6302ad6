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
# # 3. Labelled text
#
# A classifier reads a text and gives it a label: is this review a good one, which topic is this
# news about? We go through the models of the lecture on text classification, from averages of
# vectors to convolutions, and ask of each what a number must answer: how sure are we of it, is
# the difference real, and what has the model gone by?
#
# The next cell installs thence where it is missing (on Colab, say). All cells together take less
# than a minute.

# %%
from importlib.util import find_spec

if find_spec("thence") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "thence"], check=True)

# %% [markdown]
# `cities` comes with thence: 2,370 cities of 40 countries, some 60 of each. Which country is a
# city in, going by the letters of its name? The lecture's text is IMDB, 50,000 film reviews, half
# of them good: put `TEXT = "imdb"` here if you have it (`thence data get imdb`), and have some
# patience.

# %%
import shutil
from pathlib import Path

import thence
from thence.reports import plot_confusion_matrix, plot_reliability

TEXT = "cities"
RUNS = Path("runs") / "notebook-3"
if TEXT == "imdb":
    TASK = {"label": "label", "column": "text"}  # Words, in lower case.
    NGRAMS, SMALL = 2, {"epochs": 2}
    EXAMPLES = ["A dull film with a wonderful ending.", "Not bad at all!"]
else:
    TASK = {"label": "country", "tokens": "characters"}
    NGRAMS, SMALL = 5, {"embedding_size": 32, "filters": 64}
    EXAMPLES = ["Thessaloniki", "Kyoto", "Bergen"]


def new(name):
    """Return a folder for a run; an earlier run of the same cell makes place for it."""
    shutil.rmtree(RUNS / name, ignore_errors=True)
    return RUNS / name


# %% [markdown]
# ## The average of vectors
#
# The simplest network for a text: give each token a vector, take their mean, and let one layer
# choose:
#
# $$P(\cdot \mid x) = \mathrm{softmax}\Big(W \, \frac{1}{T} \sum_{t=1}^{T} E_{x_t} + b\Big)$$
#
# The order of the tokens is lost. Of cities that are made of letters little is left then, and yet
# it is ten times as good as guessing, which gets 2.5 %:

# %%
letters = thence.train(TEXT, "averaging", ngrams=1, output=new("letters"), **TASK)
letters

# %% [markdown]
# Order comes back with *n-grams*: runs of tokens get vectors of their own. So many there may be
# that they share numbered buckets, chosen by a hash. This is fastText's model:

# %%
averaging = thence.train(TEXT, "averaging", ngrams=NGRAMS, output=new("averaging"), **TASK)
thence.compare([averaging, letters])

# %% [markdown]
# Read the table like this. The interval of the difference does not contain 0, so the n-grams help
# for sure. The columns after it count the texts that only one of the two gets right; if both were
# equally good, those would be shared out as by a coin, and $p$ says how often a coin is so
# uneven.
#
# ## A line between the labels
#
# No hidden vectors at all: a weight for each n-gram and label, and logistic regression finds the
# best ones, always the same. It is the one to beat on small texts:

# %%
linear = thence.train(TEXT, "linear", ngrams=NGRAMS, output=new("linear"), **TASK)
thence.evaluate(linear)

# %% [markdown]
# 50 % of 40 countries, where averaging has 40 %. On the 25,000 test reviews of IMDB our
# benchmarks have 90.5 % for averaging and 91.9 % for the linear classifier.
#
# ## Convolutions
#
# Kim (2014) slides filters over the sequence of vectors, each looking at a few neighbours, and
# keeps of each filter its strongest answer, wherever in the text it was:
#
# $$c_t = \mathrm{relu}(w \cdot [E_{x_t}; \dots; E_{x_{t+k-1}}] + b) \qquad \hat{c} = \max_t c_t$$
#
# A filter is a soft n-gram: it fires for what is alike, too. That needs many examples to pay off.
# 60 cities a country are few, and the mean of the letters alone does as well. On IMDB, with
# 25,000 reviews, two rounds give 88.1 % on test.

# %%
convolution = thence.train(TEXT, "convolution", output=new("convolution"), **SMALL, **TASK)
convolution

# %%
thence.compare([linear, averaging, convolution, letters])

# %% [markdown]
# The best of several was picked on dev, so its number flatters a little. The remark under the
# table says so; test, at the end, decides.
#
# ## Asking
#
# What is the label of a text, and how probable is it?

# %%
thence.classify(linear, EXAMPLES, top=3)

# %% [markdown]
# And why? Leave out one letter (or word) after the other, and see how far the log-odds of the
# label fall without it:
#
# $$\text{weight}(w) = \ln \frac{P(c \mid d)}{1 - P(c \mid d)}
#   - \ln \frac{P(c \mid d \setminus w)}{1 - P(c \mid d \setminus w)}$$

# %%
thence.explain(linear, EXAMPLES[0])

# %% [markdown]
# It can be asked about any label, not only the winner:

# %%
thence.explain(linear, EXAMPLES[0], label=linear.label_names[0])

# %% [markdown]
# ## Where it goes wrong
#
# The confusion matrix: a row for the true label, a column for the predicted one.

# %%
report = thence.evaluate(linear, mistakes=8)
plot_confusion_matrix(report)

# %% [markdown]
# And the mistakes that it was surest of. Some are the model's, and some make you wonder about the
# label:

# %%
for mistake in report.mistakes:
    print(f"{mistake.probability:.0%} {mistake.predicted}, but {mistake.label}: {mistake.text}")

# %% [markdown]
# ## Is it as sure as it should be?
#
# Of all answers given with a confidence of 80 %, four in five should be right. Where the bars lie
# below the diagonal, the model is too sure of itself. The expected calibration error is the mean
# distance:

# %%
plot_reliability(report)

# %%
for run in (letters, averaging, linear, convolution):
    judged = thence.evaluate(run)
    print(f"{run.name:12} {judged.accuracy:6.1%} right, off by {judged.calibration.error:5.1%}")

# %% [markdown]
# A network that has memorised its train texts is certain of everything, including its mistakes:
# see the convolution.
#
# ## Once, at the end

# %%
thence.evaluate(linear, "test")

# %% [markdown]
# ## Exercises
#
# 1. Ask for cities of your own country that are not in the text, and explain the answers.
#    (`list(thence.corpus.load("cities"))` has those that are.)
# 2. Which country is found best, and which worst? Explain one mistake of each.
# 3. Train `recurrent` with `hidden_size=64`. Is it better than the convolution? By how much, for
#    sure?
# 4. Give the convolution `dropout=0.5`. Does its accuracy change, or its calibration?
# 5. How much text does it take? Train on less (`split="40/10/50"`) and compare the intervals.
# 6. Train a language model on the cities (`thence.train("cities", "lstm", column="city")`) and
#    start from it: `model="finetuned"`, `start_from=RUN`.
