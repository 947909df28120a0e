"""Run one function in a fork and exit."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def end_with(act: Callable[[], object]) -> NoReturn:
    """Call `act` and exit as an interpreter would, but without exit handlers inherited from the parent."""
    code: object = 1
    try:
        code = act() or 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
