"""How the pages are built: ``sphinx-build -W docs site``, without a network, for a folder without a server."""

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE)]

import latentover
from numpydoc.xref import DEFAULT_LINKS
from rooms import full_names

warnings.filterwarnings(
    "ignore", category=UserWarning, message=".*non-GUI backend.*"
)

project = "latentover"
author = copyright = "The latentover developers"
version = release = latentover.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "equations",
    "reference",
]
exclude_patterns = ["gallery", "_ext", "README.md"]
templates_path = ["_templates"]
default_role = "obj"
nitpicky = False

# Markdown: a fence of math is drawn, headings have the anchors that code hosts give them.
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
suppress_warnings = [
    "myst.header"
]  # a page may begin with a heading of a lower level, as included ones do

# The API reference: what the package exports, from its docstrings.
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # types stand in the docstrings
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {
    name: name for name in DEFAULT_LINKS
} | full_names()  # no links into the network
numpydoc_xref_ignore = "all"  # words that are no types
viewcode_line_numbers = True
toc_object_entries_show_parents = (
    "hide"  # beside the page of a class its name is known
)


sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 0,
    "backreferences_dir": "api/used",
    "doc_module": ("latentover",),
    "reference_url": {"latentover": None},
    "inspect_global_variables": False,
    "reset_modules": ("matplotlib", "style.reset"),
    "plot_gallery": "True",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "image_srcset": ["2x"],
    "thumbnail_size": (400, 280),
    "copyfile_regex": r".*\.csv",
    "line_numbers": False,
    "capture_repr": (
        "_repr_html_",
    ),  # what matplotlib returns is not worth a line
}

html_theme = "pydata_sphinx_theme"
html_title = "latentover"
html_static_path = ["_static"]
html_css_files = ["latentover.css"]
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {
        "text": "latentover",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
    },
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "friendly",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {
    "index": [],
    "auto_gallery/index": [],
    "api/index": ["sidebar-nav-bs"],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def skip(_app, _what, name, member, skipped, _options):
    """Leave out what other packages have written, such as scikit-learn's methods of any estimator."""
    module = str(getattr(member, "__module__", "") or "latentover")
    return (
        skipped
        or (callable(member) and not module.startswith("latentover"))
        or name.startswith("_")
    )


def shorten(_app, _what, _name, _member, _options, signature, returned):
    """Leave out signatures that fill a screen: the parameters stand below, each with its default."""
    return (
        ("(*, ...)", returned)
        if signature and signature.count("=") > 12
        else None
    )


def setup(app) -> None:
    """Register what this file brings."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", skip)
