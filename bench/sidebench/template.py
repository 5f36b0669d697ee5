"""Fills the configurations of `bench/configs`."""

import re
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MARK = re.compile(r"@([A-Z][A-Z_]*)@")


def fill(name, values):
    """The template `name` with each `@NAME@` replaced.

    A mark alone on its line takes a block, indented as the mark is; an empty block takes the line away.
    """
    return fill_text((CONFIGS / name).read_text(), values)


def fill_text(text, values):
    lines = []
    for line in text.splitlines():
        alone = re.fullmatch(r"(\s*)@([A-Z][A-Z_]*)@", line)
        if alone:
            indent, block = alone.group(1), str(values[alone.group(2)])
            lines += [indent + part if part else part for part in block.splitlines()]
        else:
            lines.append(MARK.sub(lambda mark: str(values[mark.group(1)]), line))
    return "\n".join(lines) + "\n"
