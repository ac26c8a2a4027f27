"""The examples of the pages and of the docstrings that the README sends its readers to: by name, as code to run.

`python -m tests.examples FOLDER` writes them into FOLDER, with a user's typed program (`typed_program.py`): for type
checkers, which take too long for a test.
"""

import inspect
import pydoc
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.house import ROOT

PAGES: Final = {
    name: (ROOT / name).read_text()
    for name in ("README.md", "config/README.md", "config/delivery.md", "tests/README.md", "supervision.md")
}
# What the README says `help(...)` of: names of modules in quotes, and names of objects.
HELPED: Final = sorted(set(re.findall(r'`help\("?([\w.]+)"?\)`', PAGES["README.md"])))


def documentation(name: str) -> str:
    """The docstring that `help` shows for the object or module *name*."""
    found = pydoc.locate(name)
    assert found is not None, f"there is no {name}"
    return inspect.getdoc(found) or ""


def blocks(text: str) -> Iterator[str]:
    """The indented blocks of a docstring that are whole programs: they begin with an import."""
    for block in re.findall(r"^\n((?: {4}.*\n|\n)+)", f"\n{text}\n", re.M):
        code = textwrap.dedent(block).strip("\n")
        if code.startswith(("import ", "from ")):
            yield f"{code}\n"


def examples() -> Iterator[tuple[str, str]]:
    """Each example with its name: that of its page, or that of the object with its docstring."""
    for text in PAGES.values():
        yield from re.findall(r"<!-- example: ([\w-]+) -->\n```python\n(.*?)```", text, re.S)
    for name in HELPED:
        yield from ((name, code) for code in blocks(documentation(name)))


EXAMPLES: Final = dict(examples())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for example, program in EXAMPLES.items():
        Path(folder, f"example_{re.sub('[^a-z]', '_', example, flags=re.I)}.py").write_text(program)
    shutil.copy(ROOT / "tests/typed_program.py", folder)
