"""The drills that need commands, in short: `python -m tests.drills.short DIR`, with what each said in DIR.

Each is a fork of a process that has rehearsed the commands once, for all of them.
"""

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from loopcraft.views import side_by_side
from tests.drills import commands, damage, faults, kills
from tests.drills.commands import on_the_hub, rehearse
from tests.fakes.forks import end_with

SHORT = {
    kills: ["--rounds", "1"],
    damage: ["--times", "1", "--halves", "report", "build"],
    faults: ["--only", "generate", "score"],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write NAME.out, NAME.err and NAME.code for every drill."""
    (place,) = sys.argv[1:] if argv is None else argv
    with tempfile.TemporaryDirectory(prefix="drill-") as top:
        side_by_side.PANEL = 64  # a small video is killed and damaged as a large one is
        with on_the_hub():
            rehearse(Path(top))
        commands.SHARED = Path(top, "shared")
        commands.FORKED_LOADERS = True  # those of the long form are fresh interpreters
        gc.freeze()  # a fork that looks for garbage there would copy it all
        for drill, arguments in SHORT.items():
            said = Path(place, drill.__name__.rpartition(".")[2])
            child = os.fork()
            if child == 0:
                _become(lambda drill=drill, arguments=arguments: drill.main(arguments), said)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said.with_suffix(".code").write_text(str(code))
    return 0


def _become(act: Callable[[], int], said: Path) -> None:
    """A drill's whole life."""
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(said.with_suffix(suffix), os.O_WRONLY | os.O_CREAT), number)
    end_with(act)


if __name__ == "__main__":
    raise SystemExit(main())
