"""The documentation as a site: `sphinx-build -W docs site`."""

project = "aipc"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "aipc"
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 4
exclude_patterns = ["README.md"]
suppress_warnings = ["misc.highlighting_failure"]  # an example may leave something out with …
