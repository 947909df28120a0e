"""Short runs of the drills that use commands: `python -m tests.drills.short DIR` writes their output to DIR.

Each runs in a fork of a process that has rehearsed the commands once for all.
"""

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from loopcraft.views import side_by_side
from tests.drills import commands, damage, faults, kills
from tests.drills.commands import local_hub, rehearse
from tests.fakes.forks import end_with

SHORT = {
    kills: ["--rounds", "1"],
    damage: ["--times", "1", "--halves", "report", "build"],
    faults: ["--only", "generate", "score"],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write NAME.out, NAME.err and NAME.code for every drill."""
    (folder,) = sys.argv[1:] if argv is None else argv
    with tempfile.TemporaryDirectory(prefix="drill-") as top:
        side_by_side.PANEL = 128  # at 64 the videos are so narrow that x264 does not always repeat its bytes
        with local_hub():
            rehearse(Path(top))
        commands.SHARED = Path(top, "shared")
        commands.FORKED_LOADERS = True  # the full drills use fresh interpreters
        gc.freeze()  # a collection in a fork would copy all these pages
        for drill, arguments in SHORT.items():
            output = Path(folder, drill.__name__.rpartition(".")[2])
            child = os.fork()
            if child == 0:
                _become(lambda drill=drill, arguments=arguments: drill.main(arguments), output)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.with_suffix(".code").write_text(str(code))
    return 0


def _become(act: Callable[[], int], output: Path) -> None:
    """Run as a drill's process, from start to end."""
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(output.with_suffix(suffix), os.O_WRONLY | os.O_CREAT), number)
    end_with(act)


if __name__ == "__main__":
    raise SystemExit(main())
