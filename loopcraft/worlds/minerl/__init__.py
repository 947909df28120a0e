"""The world `minerl`: real Minecraft 1.11 through MineRL 0.4.4, as in the paper."""

from loopcraft.worlds.registry import WorldSpec

SPEC = WorldSpec(
    factory="loopcraft.worlds.minerl.world:make_minerl",
    knows_path=False,
    versions="loopcraft.worlds.minerl.installed:minerl_versions",
    checks="loopcraft.worlds.minerl.checks:examine",
    python_version=(3, 11),
)
