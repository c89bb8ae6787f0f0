"""Tables and progress bars: rich's on a terminal; plain lines without rich or into a pipe.

Called by the commands, `init_` and the reports that print as tables.
"""

from __future__ import annotations

import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["columns", "printable", "progress_bar", "table"]

Row = Sequence[str]


def printable(text: str) -> str:
    r"""The text with an escape, such as ``\x1b`` or ``\n``, for each character that is not printed.

    What a file calls its tensors may hold control characters, which a terminal would obey.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress through `total` bytes; yields the function to call with the bytes done."""
    try:
        from rich import progress as bars
    except ImportError:
        bars = None  # type: ignore[assignment]
    if bars is None or not _on_terminal():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.table import Column

    shown_columns = (  # the first two share what the numbers leave
        bars.TextColumn(
            "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)
        ),
        bars.BarColumn(None, table_column=Column(ratio=1)),
        bars.DownloadColumn(binary_units=True),
        bars.TransferSpeedColumn(),
    )
    with bars.Progress(*shown_columns, transient=True, expand=True, console=Console()) as shown:
        task = shown.add_task(printable(description), total=total)
        yield lambda done: shown.update(task, completed=done)


# ---- tables --------------------------------------------------------------------------------------


def columns(head: Row, rows: Sequence[Row]) -> list[str]:
    """The lines of a plain table: the first column flush left, the others flush right.

    Characters that are not printed are escaped.
    """
    lines = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    shown = []
    for row in lines:
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            spaces = " " * (width - _width(cell))
            cells.append(cell + spaces if i == 0 else spaces + cell)
        shown.append("  ".join(cells).rstrip())
    return shown


def table(title: str, head: Row, rows: Sequence[Row], legend: str = "") -> None:
    """Print a table: the first column flush left, the others flush right.

    A terminal that is too narrow for the table gets a paragraph for each row: no cell is cut.

    Parameters
    ----------
    title : str
        Above the table.
    head : sequence of str
        A heading for each column.
    rows : sequence of sequence of str
        The cells. In them and in the title, characters that are not printed are escaped.
    legend : str, optional
        How to read the table, in a line or two; below it.
    """
    title, rows = printable(title), [[printable(cell) for cell in row] for row in rows]
    try:
        import rich  # noqa: F401
    except ImportError:
        pass
    else:
        if _on_terminal():
            _rich_table(title, head, rows, legend)
            return
    for line in (title, *columns(head, rows), *legend.splitlines()):
        print(line)


def _rich_table(title: str, head: Row, rows: Sequence[Row], legend: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = _fitted([head, *rows], console.width - 3 * len(head) - 1)  # besides the frame
    # As a str, what a file calls a tensor would be read as rich's markup.
    if widths is None:
        console.print(Text(title, style="table.title"))
        for row in rows:
            for line in _paragraph(head, row, console.width):
                console.print(Text(line), soft_wrap=True)
    else:
        shown = Table(title=Text(title, style="table.title"), title_justify="left")
        for i, (name, width) in enumerate(zip(head, widths, strict=True)):
            shown.add_column(Text(name), justify="left" if i == 0 else "right", width=width)
        for row in rows:
            shown.add_row(*map(Text, row))
        console.print(shown)
    if legend:
        console.print(Text(legend, style="table.caption"))


def _fitted(lines: Sequence[Row], most: int) -> list[int] | None:
    """Widths of columns that are `most` together and cut no word; None if there are none."""
    cells = list(zip(*lines, strict=True))
    widths = [max(map(_width, column)) for column in cells]
    least = [
        max(_width(word) for cell in column for word in ("", *cell.split())) for column in cells
    ]
    while sum(widths) > most:
        wider = [i for i, width in enumerate(widths) if width > least[i]]
        if not wider:
            return None
        widths[max(wider, key=widths.__getitem__)] -= 1
    return widths


def _paragraph(head: Row, row: Row, width: int) -> list[str]:
    """A row of a table as lines of text: its first cell, then the others, each after its title."""
    named = [f"{title}: {cell}" for title, cell in zip(head[1:], row[1:], strict=True) if cell]
    indent = " " * 4
    wrapped = textwrap.wrap(
        "; ".join(named),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [row[0], *wrapped]


def _width(text: str) -> int:
    """The columns of a terminal that a text takes: two for each wide character of East Asia."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )
