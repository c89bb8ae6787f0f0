"""TOML as a dictionary. Plans and lists of tensors are read by it."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["BYTE_ORDER_MARK", "parse_toml"]

BYTE_ORDER_MARK = "\ufeff"
"""What editors of Windows put before a text in UTF-8."""


def parse_toml(text: str, source: str, error_class: type[ValueError]) -> dict[str, Any]:
    """Parse a TOML document.

    Parameters
    ----------
    text : str
        The document; a byte-order mark before it is left out.
    source : str
        Where it comes from, such as its file; the error's message begins with it.
    error_class : type of ValueError
        The error to raise if it is not valid TOML.

    Returns
    -------
    dict
        Its keys and values.

    Raises
    ------
    error_class
        If `text` is not valid TOML; the message ends with the line and column.
    ImportError
        Before Python 3.11, if tomli is not installed.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise ImportError(
                'reading TOML needs Python 3.11 or tomli: pip install "fastxavier[cli]"'
            ) from None
    try:
        return tomllib.loads(text.removeprefix(BYTE_ORDER_MARK))
    except tomllib.TOMLDecodeError as error:
        raise error_class(f"{source}: {error}") from None
    except RecursionError:
        raise error_class(f"{source}: nested too deeply") from None
