"""The environment's specification, in minerl 0.4.4's classes; imported only in a game's child process.

The mission has a default world with forced reset and the options of options.py, a fixed time of day, natural
spawning, no rewards, and no end.
"""

import json

from minerl.herobraine.env_specs.simple_embodiment import SimpleEmbodimentEnvSpec
from minerl.herobraine.hero import handlers
from minerl.herobraine.hero.handler import Handler
from minerl.herobraine.hero.handlers.translation import TranslationHandler

from loopcraft.worlds.minerl.options import ENVIRONMENT_NAME, world_generator_options


class LoopcraftSpecification(SimpleEmbodimentEnvSpec):  # type: ignore[misc]  # minerl is untyped
    """Observations are the point of view and the location; actions are the simple keyboard and the camera."""

    def __init__(self, pixels: int) -> None:
        """Frames are `pixels` high and wide."""
        super().__init__(ENVIRONMENT_NAME, resolution=(pixels, pixels))

    def create_observables(self) -> list[TranslationHandler]:
        """The frame and the agent's location."""
        return [*super().create_observables(), handlers.ObservationFromCurrentLocation()]

    def create_server_world_generators(self) -> list[Handler]:
        """The paper's swampland, new for each episode."""
        options = json.dumps(world_generator_options())
        return [handlers.DefaultWorldGenerator(force_reset=True, generator_options=options)]

    def create_server_initial_conditions(self) -> list[Handler]:
        """Fixed time of day; animals and monsters spawn as usual."""
        return [
            handlers.TimeInitialCondition(allow_passage_of_time=False),
            handlers.SpawningInitialCondition(allow_spawning=True),
        ]

    def create_rewardables(self) -> list[TranslationHandler]:
        """No rewards."""
        return []

    def create_agent_start(self) -> list[Handler]:
        """An agent with empty hands."""
        return []

    def create_agent_handlers(self) -> list[Handler]:
        """No handlers: no action ends the mission."""
        return []

    def create_server_decorators(self) -> list[Handler]:
        """The world as it was generated."""
        return []

    def create_server_quit_producers(self) -> list[Handler]:
        """No time limit."""
        return []

    def is_from_folder(self, folder: str) -> bool:
        """Whether a folder of recorded demonstrations is of this mission: there are none."""
        return False

    def determine_success_from_rewards(self, rewards: list[float]) -> bool:
        """There is no goal to reach."""
        return False

    def get_docstring(self) -> str:
        """MineRL's documentation of the environment."""
        return str(self.__doc__)
