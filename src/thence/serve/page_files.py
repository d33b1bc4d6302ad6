"""The files of the page: a small bundler of its modules and style sheets, with gzip and ETags.

The sources are plain ES modules. In the bundle each module is a function that is called once and
returns its exports, in the order of their imports, so that names of different modules cannot clash.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response

FOLDER = Path(__file__).parent / "page"
MAIN = "main.js"
SHEETS = ("style.css", "look.css", "train.css", "runs.css")
"""Style sheets in the order in which they are joined; missing ones are skipped."""
REVALIDATE = "no-cache"
"""Cache-Control: browsers revalidate a cached file by its ETag on each visit."""
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)


@dataclass(frozen=True)
class PageFile:
    """A file of the page as it is sent.

    Attributes:
        content: Its bytes.
        packed: Its bytes compressed by gzip.
        kind: Its media type.
        tag: Its ETag, a hash of the content.
    """

    content: bytes
    packed: bytes
    kind: str
    tag: str

    def answer(self, request: Request) -> Response:
        """Return the response with the file, or status 304 if the browser has this version."""
        headers = {"Cache-Control": REVALIDATE, "ETag": self.tag, "Vary": "Accept-Encoding"}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        takes_packed = "gzip" in request.headers.get("accept-encoding", "")
        if takes_packed:
            headers["Content-Encoding"] = "gzip"
        body = self.packed if takes_packed else self.content
        return Response(body, headers=headers, media_type=self.kind)


@cache
def page_file(name: str) -> PageFile | None:
    """Return a file of the page by its name; None if there is none."""
    if name == "page.js":
        content = join_modules(FOLDER)
    elif name == "page.css":
        sheets = [FOLDER / sheet for sheet in SHEETS]
        content = "\n".join(sheet.read_text("utf-8") for sheet in sheets if sheet.exists())
    elif re.fullmatch(r"[\w-]+\.(html|svg|css|js)", name) and (FOLDER / name).is_file():
        content = (FOLDER / name).read_text("utf-8")
    else:
        return None
    whole = content.encode()
    tag = f'"{hashlib.sha256(whole).hexdigest()[:20]}"'
    kind = KINDS[Path(name).suffix]
    return PageFile(whole, gzip.compress(whole, mtime=0), kind, tag)


def join_modules(folder: Path) -> str:
    """Return ``main.js`` and all modules that it imports as one script.

    Raises:
        ValueError: If modules import one another in a circle, or use another form of import.
    """
    parts: list[str] = []
    done: dict[str, bool] = {}

    def add(name: str) -> None:
        if name in done:
            if not done[name]:
                raise ValueError(f"{name} imports itself by way of others")
            return
        done[name] = False
        source = (folder / name).read_text("utf-8")
        for _, other in IMPORT.findall(source):
            add(other)
        parts.append(_as_function(name, source))
        done[name] = True

    add(MAIN)
    return '"use strict";\nconst modules = {};\n' + "".join(parts)


def _as_function(name: str, source: str) -> str:
    """Return a module as a function call that stores its exports in ``modules``."""

    def imported(found: re.Match[str]) -> str:
        names = found[1].replace(" as ", ": ")
        return f'const {{{names}}} = modules["{found[2]}"];\n'

    exported = [found[2] for found in EXPORT.finditer(source)]
    body = EXPORT.sub(r"\1", IMPORT.sub(imported, source))
    if left := re.search(r"^(import|export)\b.*", body, re.MULTILINE):
        raise ValueError(f"{name} has what cannot be joined: {left[0]}")
    result = f"return {{ {', '.join(exported)} }};\n" if exported else ""
    return f'modules["{name}"] = (() => {{\n{body}{result}}})();\n'
