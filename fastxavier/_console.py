"""Tables and progress bars: rich's on a terminal; plain lines without rich or into a pipe.

Called by the commands, `init_` and the reports that print as tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["columns", "progress_bar", "table"]

Row = Sequence[str]


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress through `total` bytes; yields the function to call with the bytes done."""
    try:
        from rich import progress as bars
    except ImportError:
        bars = None  # type: ignore[assignment]
    if bars is None or not sys.stdout.isatty():
        yield lambda done: None
        return
    shown_columns = (
        bars.TextColumn("{task.description:30}", markup=False),
        bars.BarColumn(),
        bars.DownloadColumn(binary_units=True),
        bars.TransferSpeedColumn(),
    )
    with bars.Progress(*shown_columns, transient=True) as shown:
        task = shown.add_task(description, total=total)
        yield lambda done: shown.update(task, completed=done)


def columns(head: Row, rows: Sequence[Row]) -> list[str]:
    """The lines of a plain table: the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]


def table(title: str, head: Row, rows: Sequence[Row], legend: str = "") -> None:
    """Print a table: the first column flush left, the others flush right.

    Parameters
    ----------
    title : str
        Above the table.
    head : sequence of str
        A heading for each column.
    rows : sequence of sequence of str
        The cells.
    legend : str, optional
        How to read the table, in a line or two; below it.
    """
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        pass
    else:
        if sys.stdout.isatty():
            # As a str, what a file calls a tensor would be read as rich's markup.
            shown = Table(title=Text(title, style="table.title"), title_justify="left")
            for i, name in enumerate(head):
                shown.add_column(Text(name), justify="left" if i == 0 else "right")
            for row in rows:
                shown.add_row(*map(Text, row))
            console = Console()
            console.print(shown)
            if legend:
                console.print(Text(legend, style="table.caption"))
            return
    for line in (title, *columns(head, rows), *legend.splitlines()):
        print(_encodable(line))


def _encodable(text: str) -> str:
    """The text with a question mark for each character that stdout's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
