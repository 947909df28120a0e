"""Settings of the paper's Minecraft: the world generator's options, the actions, the frame size."""

from typing import Final

import numpy as np

from loopcraft.walks.actions import TURN_DEGREES_PER_TICK, Action

ENVIRONMENT_NAME: Final = "Loopcraft-v0"

OVERSAMPLING: Final = 2
"""The game renders at twice the height and width (512 for 256); a box filter reduces the frames."""

KEYS: Final = ("forward", "back", "left", "right", "jump", "sneak", "sprint", "attack")
"""MineRL's simple keyboard: an action has 0 or 1 for each key, and the camera's turn (pitch, yaw)."""

POSE_KEYS: Final = ("xpos", "ypos", "zpos", "yaw", "pitch")
"""The location statistics that form a pose."""

_NOISE = {
    "coordinateScale": 684.412,
    "heightScale": 684.412,
    "lowerLimitScale": 512.0,
    "upperLimitScale": 512.0,
    "depthNoiseScaleX": 200.0,
    "depthNoiseScaleZ": 200.0,
    "depthNoiseScaleExponent": 0.5,
    "mainNoiseScaleX": 80.0,
    "mainNoiseScaleY": 160.0,
    "mainNoiseScaleZ": 80.0,
    "baseSize": 8.5,
    "stretchY": 12.0,
    "biomeDepthWeight": 1.0,
    "biomeDepthOffset": 0.0,
    "biomeScaleWeight": 1.0,
    "biomeScaleOffset": 0.0,
    "biomeSize": 8,
    "riverSize": 1,
}
_PLACES = {
    "seaLevel": 1,
    "fixedBiome": 6,  # swampland
    "useCaves": True,
    "useDungeons": False,
    "dungeonChance": 8,
    "useStrongholds": False,
    "useVillages": False,
    "useMineShafts": False,
    "useTemples": False,
    "useMonuments": False,
    "useMansions": False,
    "useRavines": False,
    "useWaterLakes": False,
    "waterLakeChance": 4,
    "useLavaLakes": False,
    "lavaLakeChance": 80,
    "useLavaOceans": False,
}
# Vein size, veins per chunk, lowest and highest layer.
_ORES = {
    "dirt": (33, 10, 0, 256),
    "gravel": (33, 8, 0, 256),
    "granite": (33, 10, 0, 80),
    "diorite": (33, 10, 0, 80),
    "andesite": (33, 10, 0, 80),
    "coal": (17, 20, 0, 128),
    "iron": (9, 20, 0, 64),
    "gold": (9, 2, 0, 32),
    "redstone": (8, 8, 0, 16),
    "diamond": (8, 1, 0, 16),
}
_LAPIS = {"lapisSize": 7, "lapisCount": 1, "lapisCenterHeight": 16, "lapisSpread": 16}


def world_generator_options() -> dict[str, float | bool]:
    """Return the options of Minecraft 1.11's "customized" world: the defaults except for `_PLACES`."""
    parts = ("Size", "Count", "MinHeight", "MaxHeight")
    ores = {
        f"{ore}{part}": value
        for ore, values in _ORES.items()
        for part, value in zip(parts, values, strict=True)
    }
    return {**_NOISE, **_PLACES, **ores, **_LAPIS}


def minerl_action(action: int) -> dict[str, object]:
    """Convert an action to MineRL's format; jump is always held."""
    turn = {Action.FORWARD: 0, Action.LEFT: -TURN_DEGREES_PER_TICK, Action.RIGHT: TURN_DEGREES_PER_TICK}
    pressed = {"jump": 1, "forward": int(action == Action.FORWARD)}
    keys = {key: pressed.get(key, 0) for key in KEYS}
    return {**keys, "camera": np.array([0.0, turn[Action(action)]], np.float32)}
