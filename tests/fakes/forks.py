"""How a fork that was made for one thing ends."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def end_with(act: Callable[[], object]) -> NoReturn:
    """Do it, and end the process as an interpreter would, but for what its parent has left to be done."""
    code: object = 1
    try:
        code = act() or 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
