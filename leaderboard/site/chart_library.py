"""Locate the script of the installed Plotly package; it is copied into sites, not kept in this project."""

import re
from functools import cache
from pathlib import Path

ADDRESS = "assets/plotly.min.js"
_STYLE_GUARD = re.compile(r'getElementById\("([0-9a-f]{64})"\)\)\{var e=document\.createElement\("style"\)')


def library_path() -> Path:
    """Return the path of the script."""
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


@cache
def style_guards() -> tuple[str, ...]:
    """Return the ids of elements whose presence keeps the script from adding its own style sheet.

    That style sheet is for geographic maps; the site's content security policy would block it.
    """
    return tuple(sorted(set(_STYLE_GUARD.findall(library_path().read_text(encoding="utf-8")))))
