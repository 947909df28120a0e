"""Kinds of trees, bushes, fallen logs and boulders as data.

A tree is a trunk with round layers of leaves, counted from the trunk's top; `woods.py` grows them. Order
and values are part of `voxel-v1`.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.terrain.biomes import BIOMES


class Form(IntEnum):
    """How the numbers of a kind are interpreted."""

    STANDING = 0
    LYING = 1
    """A log on the ground, as long as `height`."""
    BOULDER = 2
    """A lump of diameter `height`, half buried."""


Layer = tuple[int, int, int]
"""Height above the trunk's top, squared radius, percentage of the rim left out."""

SOIL = ("grass", "podzol", "snowy_grass", "dirt", "mud", "snow")
DRY = ("sand", "red_sand", "terracotta_orange", "terracotta_brown")
ANY = (*SOIL, *DRY, "stone", "gravel", "sandstone")


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One kind of tree. Lengths in blocks; pairs are the minimum and maximum of a uniform draw."""

    log: str
    leaves: str = "air"
    height: tuple[int, int]
    layers: tuple[Layer, ...] = ()
    form: Form = Form.STANDING
    clear: int = 1
    """Blocks above the ground that stay free of leaves."""
    bend: tuple[int, int] = (0, 0)
    """How far the upper trunk leans sideways."""
    branches: tuple[int, int] = (0, 0)
    branch_out: tuple[int, int] = (1, 1)
    branch_up: int = 1
    branch_blob: int = 0
    """Squared radius of the leaves at a branch's end; 0 for none."""
    droop: int = 0
    """Longest strand of leaves hanging from the rim of the lowest layer."""
    mix: str = "air"
    """Replaces some of the leaves, or of a boulder's rock."""
    mix_percent: int = 0
    ground: tuple[str, ...] = SOIL


_OAK = ((1, 1, 0), (0, 2, 30), (-1, 5, 25), (-2, 5, 10))
_BIRCH = ((1, 1, 0), (0, 2, 40), (-1, 5, 30), (-2, 5, 10), (-3, 2, 20))
_SPRUCE = ((1, 0, 0), (0, 1, 0), (-1, 2, 40), (-2, 1, 0), (-3, 5, 20), (-4, 2, 20), (-5, 8, 30), (-6, 4, 10))
_CONE = (*_SPRUCE, (-7, 10, 20), (-8, 5, 10), (-9, 10, 30))
_BUSH = ((1, 1, 30), (0, 4, 20))

TREES: dict[str, Tree] = {
    "oak": Tree(log="oak_log", leaves="oak_leaves", height=(4, 6), layers=_OAK),
    "oak_tall": Tree(log="oak_log", leaves="oak_leaves", height=(7, 9), layers=(*_OAK, (-3, 8, 45))),
    "oak_large": Tree(
        log="oak_log",
        leaves="oak_leaves",
        height=(7, 10),
        layers=((1, 2, 20), (0, 5, 20), (-1, 10, 25), (-2, 10, 20), (-3, 5, 40)),
        branches=(2, 4),
        branch_out=(2, 3),
        branch_blob=5,
        clear=3,
    ),
    "birch": Tree(log="birch_log", leaves="birch_leaves", height=(5, 7), layers=_BIRCH),
    "birch_tall": Tree(
        log="birch_log", leaves="birch_leaves", height=(8, 12), layers=(*_BIRCH, (-4, 5, 40), (-5, 2, 40))
    ),
    "spruce": Tree(log="spruce_log", leaves="spruce_leaves", height=(6, 9), layers=_SPRUCE, clear=2),
    "spruce_tall": Tree(log="spruce_log", leaves="spruce_leaves", height=(10, 14), layers=_CONE, clear=3),
    "spruce_thin": Tree(
        log="spruce_log",
        leaves="spruce_leaves",
        height=(7, 12),
        layers=((1, 0, 0), (0, 1, 0), (-1, 1, 20), (-3, 2, 20), (-4, 1, 0)),
    ),
    "spruce_snow": Tree(
        log="spruce_log",
        leaves="spruce_leaves",
        height=(6, 10),
        layers=_SPRUCE,
        clear=2,
        mix="snow",
        mix_percent=40,
    ),
    "willow": Tree(
        log="willow_log",
        leaves="willow_leaves",
        height=(4, 6),
        layers=((1, 4, 20), (0, 10, 10), (-1, 10, 15)),
        droop=4,
    ),
    "willow_tall": Tree(
        log="willow_log",
        leaves="willow_leaves",
        height=(6, 9),
        layers=((1, 5, 20), (0, 13, 10), (-1, 13, 15), (-2, 5, 40)),
        droop=6,
        bend=(0, 1),
    ),
    "acacia": Tree(
        log="acacia_log",
        leaves="acacia_leaves",
        height=(5, 7),
        layers=((1, 5, 10), (0, 13, 10)),
        bend=(1, 3),
        branches=(0, 1),
        branch_out=(2, 3),
        branch_blob=5,
    ),
    "acacia_tall": Tree(
        log="acacia_log",
        leaves="acacia_leaves",
        height=(7, 10),
        layers=((1, 5, 20), (0, 10, 15)),
        bend=(0, 2),
        branches=(1, 3),
        branch_out=(2, 3),
        branch_up=2,
        branch_blob=5,
    ),
    "blossom": Tree(
        log="acacia_log",
        leaves="birch_leaves",
        height=(4, 6),
        layers=((1, 4, 15), (0, 8, 20), (-1, 10, 20), (-2, 5, 50)),
        bend=(0, 1),
        droop=2,
    ),
    "blossom_wide": Tree(
        log="acacia_log",
        leaves="birch_leaves",
        height=(5, 7),
        layers=((1, 5, 15), (0, 10, 20), (-1, 13, 25)),
        bend=(0, 2),
        branches=(1, 2),
        branch_out=(2, 3),
        branch_blob=5,
        droop=3,
    ),
    "dead_tree": Tree(
        log="oak_wood", height=(3, 6), branches=(1, 3), branch_out=(1, 2), ground=(*SOIL, *DRY)
    ),
    "bush": Tree(log="oak_log", leaves="oak_leaves", height=(1, 1), layers=_BUSH),
    "bush_birch": Tree(log="birch_log", leaves="birch_leaves", height=(1, 1), layers=_BUSH),
    "bush_spruce": Tree(log="spruce_log", leaves="spruce_leaves", height=(1, 2), layers=_BUSH),
    "bush_willow": Tree(log="willow_log", leaves="willow_leaves", height=(1, 1), layers=_BUSH),
    "bush_acacia": Tree(log="acacia_log", leaves="acacia_leaves", height=(1, 1), layers=_BUSH, ground=ANY),
    "fallen_oak": Tree(log="oak_wood", height=(3, 6), form=Form.LYING),
    "fallen_birch": Tree(log="birch_wood", height=(3, 6), form=Form.LYING),
    "fallen_spruce": Tree(log="spruce_wood", height=(3, 6), form=Form.LYING),
    "fallen_willow": Tree(log="willow_wood", height=(3, 5), form=Form.LYING),
    "boulder": Tree(
        log="cobblestone", height=(2, 5), form=Form.BOULDER, mix="stone", mix_percent=30, ground=ANY
    ),
    "boulder_mossy": Tree(
        log="mossy_cobblestone",
        height=(2, 5),
        form=Form.BOULDER,
        mix="cobblestone",
        mix_percent=25,
        ground=ANY,
    ),
    "boulder_andesite": Tree(
        log="andesite", height=(2, 6), form=Form.BOULDER, mix="stone", mix_percent=20, ground=ANY
    ),
    "boulder_granite": Tree(
        log="granite", height=(2, 5), form=Form.BOULDER, mix="stone", mix_percent=10, ground=ANY
    ),
    "boulder_diorite": Tree(
        log="diorite", height=(2, 4), form=Form.BOULDER, mix="stone", mix_percent=15, ground=ANY
    ),
    "boulder_sandstone": Tree(
        log="sandstone", height=(2, 5), form=Form.BOULDER, mix="sand", mix_percent=5, ground=ANY
    ),
    "boulder_terracotta": Tree(
        log="terracotta", height=(2, 6), form=Form.BOULDER, mix="terracotta_brown", mix_percent=30, ground=ANY
    ),
    "cactus": Tree(log="cactus", height=(1, 4), ground=DRY),
    "cactus_arms": Tree(
        log="cactus", height=(4, 6), branches=(1, 3), branch_out=(1, 1), branch_up=2, ground=DRY
    ),
    "hay_bale": Tree(log="hay", height=(1, 2)),
    "ice_spike": Tree(
        log="ice", leaves="ice", height=(4, 9), layers=((-3, 1, 50), (-4, 1, 0), (-5, 2, 40), (-6, 2, 0))
    ),
    "mushroom_red": Tree(
        log="mushroom_stem",
        leaves="mushroom_cap_red",
        height=(4, 8),
        layers=((1, 5, 0), (0, 10, 0), (-1, 10, 0)),
        clear=2,
    ),
    "mushroom_brown": Tree(
        log="mushroom_stem", leaves="mushroom_cap_brown", height=(4, 7), layers=((1, 13, 0),), clear=2
    ),
    "mushroom_small": Tree(
        log="mushroom_stem", leaves="mushroom_cap_red", height=(2, 3), layers=((1, 1, 0), (0, 4, 0)), clear=2
    ),
}

TREE_REACH = 6
"""No tree places a block farther than this from its foot along either axis."""


class TreeArrays(NamedTuple):
    """`TREES` and their frequency in each biome as arrays for the kernels."""

    numbers: Int64[np.ndarray, "K 18"]
    """form, log, leaves, height 2, clear, bend 2, branches 2, out 2, up, blob, droop, mix, percent, layer."""
    layers: Int64[np.ndarray, "K L 3"]
    ground: np.ndarray
    """Whether kind k grows on block b: bool (K, 256)."""
    chance: Float64[np.ndarray, " B"]
    share: Float64[np.ndarray, "B K"]
    """Cumulative share of each kind in a biome's woods."""


@cache
def tree_arrays() -> TreeArrays:
    """Return the tables of this file as arrays; kind k is the k-th name of `TREES`."""
    names = list(TREES)
    depth = max(len(tree.layers) for tree in TREES.values())
    layers = np.zeros((len(names), depth, 3), np.int64)
    ground = np.zeros((len(names), 256), np.bool_)
    numbers = np.empty((len(names), 18), np.int64)
    for k, tree in enumerate(TREES.values()):
        layers[k, : len(tree.layers)] = np.reshape(tree.layers, (-1, 3))
        ground[k, [BLOCK_IDS[name] for name in tree.ground]] = True
        blocks = (BLOCK_IDS[tree.log], BLOCK_IDS[tree.leaves])
        branch = (*tree.branches, *tree.branch_out, tree.branch_up, tree.branch_blob)
        mix = (BLOCK_IDS[tree.mix], tree.mix_percent)
        trunk = (*tree.height, tree.clear, *tree.bend)
        numbers[k] = (tree.form, *blocks, *trunk, *branch, tree.droop, *mix, len(tree.layers))
    weights = np.array([[b.trees.get(name, 0) for name in names] for b in BIOMES], np.float64)
    share = np.cumsum(weights, axis=1) / np.sum(weights, axis=1, keepdims=True)
    share[:, -1] = 1.0
    chance = np.array([b.tree_chance for b in BIOMES])
    return TreeArrays(numbers=numbers, layers=layers, ground=ground, chance=chance, share=share)
