"""How the documentation is built: Sphinx, MyST Markdown, furo."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import tables

import nexus

project = "Nexus"
author = "The Nexus contributors"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = nexus.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_tables"]
nitpick_ignore_regex = [("py:.*", r".*")]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = f"Nexus {version}"
html_static_path: list[str] = []

tables.write_all(Path(__file__).parent / "_tables")
