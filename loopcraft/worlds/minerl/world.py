"""The world `minerl` behind the World protocol: games that may fail at any moment, replaced when they do.

A failure ends the episode with a `PlayError`: whoever records it throws away what there is and plays again,
in a fresh game after a pause. A game that plays well is kept for the next episode: only its world is built
anew. The same seed does not always give the same frames here: the game's own threads decide some of it.
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
    """Plays walks in Minecraft. Its game starts with the first episode and ends with `close` or the process.

    `turns`, where given, is held while frames are drawn: worlds that share it take turns, so that one builds
    its next world and finishes its last video while another draws.
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
        """One observation per action; raises `PlayError`, and `UserError` when failures do not end."""
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
        """Without manners: it may hang, and its episode is lost anyway."""
        if self._game is not None:
            self._game.kill()
            self._game = None

    def _note_failure(self, error: PlayError) -> None:
        self._failures += 1
        words = self._game.last_words() if self._game is not None else ""
        _log.warning("game failed (%d in a row): %s%s", self._failures, error, f"\n{words}" if words else "")
        if self._failures >= self._patience.max_failures:
            raise UserError(
                f"the game failed {self._failures} times in a row, last with {error}; find out why with "
                "python -m loopcraft.doctor --world minerl, then run the same command again to go on"
            ) from error


def make_minerl(
    *, resolution: int, quality: str = "default", turns: AbstractContextManager[object] | None = None
) -> MineRLWorld:
    """The world of the registry; raises `UserError` for a quality, as the game has one."""
    if quality != "default":
        raise UserError(f"--quality {quality}: world 'minerl' has one quality; leave it out")
    return MineRLWorld(resolution=resolution, turns=turns)
