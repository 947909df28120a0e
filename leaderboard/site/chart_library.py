"""Plotly's own script, out of the installed Python package: copied into a site, never kept here."""

import re
from functools import cache
from pathlib import Path

ADDRESS = "assets/plotly.min.js"
_STYLE_GUARD = re.compile(r'getElementById\("([0-9a-f]{64})"\)\)\{var e=document\.createElement\("style"\)')


def library_path() -> Path:
    """Where the script lies."""
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


@cache
def style_guards() -> tuple[str, ...]:
    """Ids of elements at whose sight the script adds no style sheet of its own.

    It brings one for maps of the earth, which the site's content security policy would refuse.
    """
    return tuple(sorted(set(_STYLE_GUARD.findall(library_path().read_text(encoding="utf-8")))))
