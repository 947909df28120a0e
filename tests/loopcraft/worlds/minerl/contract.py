"""Loopcraft's mission, spaces and protocol on the real minerl package (`make test-minerl`).

A thread that speaks Malmo's protocol plays the game: all code up to the socket is MineRL's own.
"""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import minerl
import numpy as np
import pytest
from lxml import etree

from loopcraft.worlds.base import PlayError
from loopcraft.worlds.minerl.child import box_filter, play
from loopcraft.worlds.minerl.environment import Environment, make_environment
from loopcraft.worlds.minerl.options import minerl_action, world_generator_options
from tests.fakes.minerl import ACTION_SPACE, LOCATION_SPACE

SCHEMAS = Path(minerl.__file__).parent / "Malmo" / "Schemas"
NAMESPACE = "{http://ProjectMalmo.microsoft.com}"
RESOLUTION = 256
ACTIONS = np.array([0, 1, 2, 0])


@pytest.fixture(scope="module")
def environment() -> Any:
    return make_environment(RESOLUTION)


@pytest.fixture(scope="module")
def mission(environment: Any) -> etree._Element:
    return etree.fromstring(environment.task.to_xml().encode())


def schema(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(SCHEMAS / name)))


def only(mission: etree._Element, tag: str) -> etree._Element:
    (element,) = mission.iter(f"{NAMESPACE}{tag}")
    return element


def test_the_mission_is_valid(mission: etree._Element) -> None:
    schema("Mission.xsd").assertValid(mission)


def test_a_spoilt_mission_is_not(mission: etree._Element) -> None:
    spoilt = etree.fromstring(etree.tostring(mission))
    only(spoilt, "DefaultWorldGenerator").set("forceReset", "perhaps")
    assert not schema("Mission.xsd").validate(spoilt)


def test_the_mission_holds_every_option_of_the_world(mission: etree._Element) -> None:
    generator = only(mission, "DefaultWorldGenerator")
    assert generator.get("forceReset") == "true"
    options = json.loads(generator.get("generatorOptions"))
    assert options == world_generator_options()
    off = ("Dungeons", "Strongholds", "Villages", "MineShafts", "Temples", "Monuments", "Mansions", "Ravines")
    off += ("WaterLakes", "LavaLakes", "LavaOceans")
    assert {name for name, value in options.items() if value is False} == {f"use{name}" for name in off}
    expected = {
        **{
            "coordinateScale": 684.412,
            "heightScale": 684.412,
            "lowerLimitScale": 512,
            "upperLimitScale": 512,
        },
        **{"depthNoiseScaleX": 200, "depthNoiseScaleZ": 200, "depthNoiseScaleExponent": 0.5},
        **{"mainNoiseScaleX": 80, "mainNoiseScaleY": 160, "mainNoiseScaleZ": 80, "baseSize": 8.5},
        **{"stretchY": 12, "biomeDepthWeight": 1, "biomeDepthOffset": 0, "biomeScaleWeight": 1},
        **{"biomeScaleOffset": 0, "biomeSize": 8, "riverSize": 1},
        **{"seaLevel": 1, "useCaves": True, "fixedBiome": 6},
    }
    assert {name: options[name] for name in expected} == expected


def test_the_ores_match_minerls_customized_world(mission: etree._Element) -> None:
    from minerl.herobraine.env_specs.treechop_specs import TREECHOP_WORLD_GENERATOR_OPTIONS

    minerl_options = json.loads(TREECHOP_WORLD_GENERATOR_OPTIONS)
    options = world_generator_options()
    assert options.keys() == minerl_options.keys()
    differing = {name for name in options if options[name] != minerl_options[name]}
    assert differing == {"useCaves", "fixedBiome", "biomeSize"}


def test_the_mission_holds_everything_else(mission: etree._Element) -> None:
    assert only(mission, "AllowPassageOfTime").text == "false"
    assert only(mission, "AllowSpawning").text == "true"
    video = only(mission, "VideoProducer")
    assert [child.text.strip() for child in video] == ["512", "512"]
    assert only(mission, "HumanLevelCommands") is not None
    assert only(mission, "CameraCommands") is not None
    assert only(mission, "ObservationFromFullStats") is not None
    tags = [etree.QName(element).localname for element in mission.iter("*")]
    assert not [tag for tag in tags if "Reward" in tag or "Quit" in tag]


def test_the_stand_in_has_the_real_spaces(environment: Any) -> None:
    observation, action = environment.observation_space.spaces, environment.action_space.spaces
    assert observation.keys() == {"pov", "location_stats"}
    pov = observation["pov"]
    assert (pov.shape, pov.dtype) == ((2 * RESOLUTION, 2 * RESOLUTION, 3), np.uint8)
    location = observation["location_stats"].spaces
    location_space = {name: (box.shape, box.dtype.name, box.low, box.high) for name, box in location.items()}
    assert location_space == LOCATION_SPACE
    camera = action["camera"]
    described = f"Box{camera.shape} {camera.dtype} {camera.low.min():g} {camera.high.max():g}"
    assert {**{name: str(space) for name, space in action.items()}, "camera": described} == {
        name: "Box(2,) float32 -180 180" if name == "camera" else kind for name, kind in ACTION_SPACE.items()
    }


def test_our_actions_lie_in_the_real_space(environment: Any) -> None:
    for action in range(3):
        assert minerl_action(action) in environment.action_space


class Malmo(threading.Thread):
    """The game's end of the socket: the agent turns on the spot; `end` says how a step ends the game."""

    def __init__(self, end: dict[int, str]) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.commands: list[str] = []
        self.missions: list[bytes] = []
        self.tokens: list[str] = []
        self._end, self._yaw = end, 0.0

    def run(self) -> None:
        stream, _ = self._listener.accept()
        with stream:
            while message := self._receive(stream):
                if not self._answer(stream, message):
                    return

    def frame(self, step: int) -> np.ndarray:
        return np.random.default_rng(step).integers(0, 256, (512, 512, 3), np.uint8)

    def _answer(self, stream: socket.socket, message: bytes) -> bool:
        if message.startswith(b"<MissionInit"):
            self.missions.append(message)
            self.tokens.append(self._receive(stream).decode())
            self._send(stream, struct.pack("!I", 1))
        elif message == b"<Quit/>":
            self._send(stream, struct.pack("!I", 1))
        elif message == b"<Peek/>":
            self._send(stream, self.frame(0).tobytes(), self._location(), struct.pack("!b", 0))
        elif message.startswith(b"<StepClient"):
            self.commands.append(etree.fromstring(message.replace(b" >", b">")).text)
            self._yaw += float(self.commands[-1].split("camera")[1].split()[1])
            how = self._end.get(len(self.commands), "")
            if how == "hang up":
                return False
            reply = struct.pack("!dbb", 0, how == "die", 1)
            self._send(stream, self.frame(len(self.commands)).tobytes(), reply, self._location())
        return True

    def _location(self) -> bytes:
        return json.dumps({"xpos": 1.5, "ypos": 64.0, "zpos": -2.5, "yaw": self._yaw, "pitch": 0.0}).encode()

    def _send(self, stream: socket.socket, *messages: bytes) -> None:
        for message in messages:
            stream.sendall(struct.pack("!I", len(message)) + message)

    def _receive(self, stream: socket.socket) -> bytes:
        header = stream.recv(4, socket.MSG_WAITALL)
        return stream.recv(struct.unpack("!I", header)[0], socket.MSG_WAITALL) if header else b""


@contextmanager
def game(end: dict[int, str] | None = None) -> Iterator[tuple[Environment, Malmo]]:
    from minerl.env.malmo import MinecraftInstance

    malmo = Malmo(end or {})
    malmo.start()
    environment: Any = make_environment(RESOLUTION)
    instance = MinecraftInstance(port=malmo.port, existing=True)
    instance.had_to_clean = False
    environment.instances = [instance]
    environment.seed(2**62 + 7)
    environment.reset()
    yield environment, malmo
    environment.close()
    malmo.join(10)


def test_an_episode_over_the_real_protocol() -> None:
    with game() as (environment, malmo):
        observations = list(play(environment, ACTIONS))
    for step, observation in enumerate(observations, 1):
        upright = malmo.frame(step)[::-1]  # the game sends its rows bottom first
        np.testing.assert_array_equal(observation.frame, box_filter(upright))
    assert [observation.pose.yaw_deg for observation in observations] == [0, -10, 0, 0]
    assert observations[-1].pose[:3] == (1.5, 64.0, -2.5)
    commands = [dict(line.split(" ", 1) for line in text.split("\n")) for text in malmo.commands]
    assert [command["forward"] for command in commands] == ["1", "0", "0", "1"]
    assert {command["jump"] for command in commands} == {"1"}
    assert [command["camera"] for command in commands] == ["0.0 0.0", "0.0 -10.0", "0.0 10.0", "0.0 0.0"]


def test_the_sent_mission_is_valid_and_has_the_seed() -> None:
    with game() as (_, malmo):
        pass
    schema("MissionInit.xsd").assertValid(etree.fromstring(malmo.missions[0]))
    assert malmo.tokens[0].split(":")[-1] == str(2**62 + 7)


@pytest.mark.parametrize(("how", "reason"), [("hang up", "timeout"), ("die", "died")])
def test_a_lost_game_is_a_failure(how: str, reason: str) -> None:
    with game({2: how}) as (environment, _):
        episode = play(environment, ACTIONS)
        next(episode)
        with pytest.raises(PlayError) as caught:
            next(episode)
    assert caught.value.reason == reason
