"""Worlds are looked up by name: the built-in ones, and those of other packages."""

from importlib.metadata import EntryPoint

import pytest

from loopcraft.core.errors import UserError
from loopcraft.worlds import WorldSpec, make_surface_world, make_world, registry, world_ids, world_spec

BLIND = WorldSpec(factory="tests.fakes.world:FakeWorld", knows_surfaces=False)
UNMADE = WorldSpec(factory="tests.fakes.world:NoWorld")


@pytest.fixture
def _foreign_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points = (
        EntryPoint("mine-v1", "tests.loopcraft.worlds.test_registry:BLIND", registry.GROUP),
        EntryPoint("unmade-v1", "tests.loopcraft.worlds.test_registry:UNMADE", registry.GROUP),
        EntryPoint("broken-v1", "no_such_package:SPEC", registry.GROUP),
        EntryPoint("wrong-v1", "tests.loopcraft.worlds.test_registry:GROUP_OF_NOTHING", registry.GROUP),
    )
    monkeypatch.setattr(registry, "_installed", lambda: entry_points)


GROUP_OF_NOTHING = {"a": 1}


def test_every_built_in_world_has_a_spec() -> None:
    specs = {world_id: world_spec(world_id) for world_id in world_ids()}
    assert specs.keys() >= {"voxel-v1", "plaza-v1", "minerl"}
    assert {name for name, spec in specs.items() if spec.knows_surfaces} >= {"voxel-v1", "plaza-v1"}
    assert not specs["minerl"].knows_surfaces
    assert not world_spec("minerl").knows_path


def test_an_unknown_world_error_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown world 'moon': choose one of voxel-v1, plaza-v1, .*minerl"):
        make_world("moon", resolution=32)


@pytest.mark.usefixtures("_foreign_worlds")
def test_an_installed_package_adds_a_world() -> None:
    assert "mine-v1" in world_ids()
    assert world_spec("mine-v1") is BLIND
    with pytest.raises(UserError, match=r"'mine-v1' cannot tell .*: voxel-v1, plaza-v1\b(?!.*mine)"):
        make_surface_world("mine-v1", resolution=32)


@pytest.mark.usefixtures("_foreign_worlds")
def test_a_package_that_cannot_be_loaded_is_reported() -> None:
    with pytest.raises(UserError, match=r"'broken-v1': no_such_package:SPEC cannot be loaded"):
        world_spec("broken-v1")
    with pytest.raises(UserError, match=r"'wrong-v1': its entry point gives dict, not a WorldSpec"):
        world_spec("wrong-v1")
    with pytest.raises(UserError, match=r"^tests\.fakes\.world:NoWorld, which a WorldSpec .* \(.*NoWorld"):
        make_world("unmade-v1", resolution=32)
