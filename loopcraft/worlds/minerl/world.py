"""The world `minerl`: plays walks in games that can fail at any moment, and replaces failed games.

A failure ends the episode with a `PlayError`: the caller discards its partial recording and plays again, in a
new game after a pause. A game that works is reused for the next episode, and only its world is rebuilt. The
same seed does not always give the same frames, as the game's threads are not deterministic.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext

import numpy as np
from jaxtyping import Integer

from loopcraft.core.errors import UserError
from loopcraft.walks.actions import checked_actions
from loopcraft.worlds.base import Observation, PlayError
from loopcraft.worlds.minerl.environment import EnvironmentFactory, make_environment
from loopcraft.worlds.minerl.game import Game, Patience

_log = logging.getLogger(__name__)


class MineRLWorld:
    """Minecraft as a `World`. The game starts with the first episode and ends with `close` or the process.

    `turns`, if given, is held while frames are rendered: worlds that share it take turns, so that one builds
    its next world and finishes its last video while another renders.
    """

    world_id = "minerl"

    def __init__(
        self,
        *,
        resolution: int,
        make_environment: EnvironmentFactory = make_environment,
        patience: Patience | None = None,
        turns: AbstractContextManager[object] | None = None,
    ) -> None:
        self.resolution = resolution
        self._make_environment = make_environment
        self._patience = patience or Patience()
        self._turns = turns or nullcontext()
        self._game: Game | None = None
        self._failures = 0

    def play(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        """Yield one observation per action.

        Raises `PlayError` if the game fails, and `UserError` after too many failures in a row.
        """
        actions = checked_actions(actions)
        is_over = False
        try:
            game = self._running_game()
            game.reset(seed)
            with ExitStack() as turn:
                turn.enter_context(self._turns)
                for index, observation in enumerate(game.play(actions)):
                    is_over = index == len(actions) - 1
                    if is_over:
                        turn.close()
                        self._failures = 0
                    yield observation
        except PlayError as error:
            self._note_failure(error)
            raise
        finally:
            if not is_over:
                self._drop_game()

    def close(self) -> None:
        """End the game."""
        if self._game is not None:
            self._game.close()
            self._game = None

    def _running_game(self) -> Game:
        if self._game is None:
            if self._failures:
                pause = self._patience.first_pause_seconds * 2 ** (self._failures - 1)
                time.sleep(min(pause, self._patience.longest_pause_seconds))
            self._game = Game(self._make_environment, self.resolution, self._patience)
            self._game.wait_until_made()
        return self._game

    def _drop_game(self) -> None:
        """Kill the game instead of closing it: it may hang, and its episode is lost anyway."""
        if self._game is not None:
            self._game.kill()
            self._game = None

    def _note_failure(self, error: PlayError) -> None:
        self._failures += 1
        tail = self._game.log_tail() if self._game is not None else ""
        _log.warning("game failed (%d in a row): %s%s", self._failures, error, f"\n{tail}" if tail else "")
        if self._failures >= self._patience.max_failures:
            raise UserError(
                f"the game failed {self._failures} times in a row, last with {error}; find out why with "
                "python -m loopcraft.doctor --world minerl, then run the same command again to continue"
            ) from error


def make_minerl(
    *, resolution: int, quality: str = "default", turns: AbstractContextManager[object] | None = None
) -> MineRLWorld:
    """Make the world for the registry; raise `UserError` for any quality but the default."""
    if quality != "default":
        raise UserError(f"--quality {quality}: world 'minerl' has one quality; leave it out")
    return MineRLWorld(resolution=resolution, turns=turns)
