"""The documentation's build: `make docs`. Every picture is drawn by it, every example run."""

import os

import fastxavier

os.environ.setdefault("KERAS_BACKEND", "numpy")  # whose tensors the examples print

project = "fastxavier"
author = "The fastxavier developers"
release = version = fastxavier.__version__
copyright = author

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
html_theme = "furo"
html_title = f"fastxavier {release}"
html_show_sphinx = False
html_show_copyright = False
exclude_patterns = ["_build", "auto_examples/*.ipynb"]

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the gallery's settings hold a function

doctest_global_setup = """
import numpy as np
import fastxavier as fx
from fastxavier import *
"""

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "autolink"
intersphinx_mapping = {}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "image_srcset": ["2x"],
}
