"""Block textures: every name painted, pinned bytes, tints, holes, seams and the mip chain."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64, UInt8

from loopcraft.core.seeding import generator
from loopcraft.worlds.voxel.core.blocks import BLOCKS, PLAIN_COLOURS, TEXTURE_NAMES, Block, Shape, Tint
from loopcraft.worlds.voxel.textures import PAINTERS, draw_textures, mip_chain

TEXTURES = draw_textures()
NUM_OF_VOXEL_V1 = 87
"""Number of textures that voxel-v1 started with; later ones are appended."""
PINNED_SHA256 = "260166afc2029aa428e92e3d6ad6eb2361d145b71e6a6fb50f8007c8c645b9f5"

GROUNDS = (
    *("stone", "granite", "andesite", "diorite", "gravel", "clay", "mud", "dirt", "podzol_top", "grass_top"),
    *("sand", "red_sand", "sandstone_top", "snow", "ice", "water"),
    *("terracotta", "terracotta_orange", "terracotta_yellow", "terracotta_white", "terracotta_brown"),
)


def texture(name: str) -> UInt8[np.ndarray, "16 16 4"]:
    return TEXTURES[TEXTURE_NAMES.index(name)]


def faces(block: Block) -> set[str]:
    return {block.top, block.side or block.top, block.bottom or block.top} - {""}


def names_of(shape: Shape) -> list[str]:
    return sorted({name for block in BLOCKS if block.shape == shape for name in faces(block)})


def tinted_names() -> list[str]:
    tinted = [block for block in BLOCKS if block.tint != Tint.NONE]
    return sorted({name for b in tinted for name in ({b.top} if b.tint_top_only else faces(b))})


def opaque_colours(image: UInt8[np.ndarray, "H W 4"]) -> Float64[np.ndarray, "P 3"]:
    return image[image[..., 3] == 255][:, :3].astype(np.float64)


def seam_ratio(image: UInt8[np.ndarray, "16 16 4"]) -> float:
    """Step across the wrapped border over the largest step inside, for the worse of the two axes."""
    ratios = []
    for axis in (0, 1):
        step = np.abs(np.diff(image.astype(np.float64), axis=axis, append=image.take([0], axis=axis)))
        steps = step.mean(axis=(1 - axis, 2))
        ratios.append(steps[-1] / steps[:-1].max())
    return max(ratios)


def test_every_name_has_one_painter_and_no_painter_is_idle() -> None:
    assert sorted(PAINTERS) == sorted(TEXTURE_NAMES)


def test_bytes_are_pinned() -> None:
    """A change of these bytes changes the look of the world, which needs a new world id."""
    assert TEXTURES.shape == (len(TEXTURE_NAMES), 16, 16, 4)
    assert TEXTURES.dtype == np.uint8
    assert hashlib.sha256(TEXTURES[:NUM_OF_VOXEL_V1].tobytes()).hexdigest() == PINNED_SHA256
    for name, colour in PLAIN_COLOURS.items():
        assert (texture(f"plain_{name}") == [*bytes.fromhex(colour), 255]).all()


def test_a_texture_depends_on_its_name_alone() -> None:
    for name in reversed(TEXTURE_NAMES):
        np.testing.assert_array_equal(PAINTERS[name](generator(0, f"texture/{name}")), texture(name))


def test_no_two_textures_look_the_same() -> None:
    premultiplied = (
        (TEXTURES[..., :3] * (TEXTURES[..., 3:] > 0)).reshape(len(TEXTURES), -1).astype(np.float64)
    )
    distances = np.abs(premultiplied[:, None] - premultiplied[None]).mean(axis=2)
    assert distances[~np.eye(len(distances), dtype=bool)].min() > 3


def test_only_cutouts_and_plants_have_holes_and_alpha_is_all_or_nothing() -> None:
    assert set(np.unique(TEXTURES[..., 3])) == {0, 255}
    holed = {name for name in TEXTURE_NAMES if (texture(name)[..., 3] == 0).any()}
    assert holed == {*names_of(Shape.CUTOUT), *names_of(Shape.CROSS)}


@pytest.mark.parametrize("name", names_of(Shape.CUTOUT))
def test_leaves_are_a_quarter_to_a_third_holes(name: str) -> None:
    assert 0.25 <= (texture(name)[..., 3] == 0).mean() <= 0.35


@pytest.mark.parametrize("name", names_of(Shape.CROSS))
def test_plants_stand_on_the_ground(name: str) -> None:
    alpha = texture(name)[..., 3]
    assert (alpha[15] == 255).any()
    assert 0.05 < (alpha == 255).mean() < 0.6


@pytest.mark.parametrize("name", tinted_names())
def test_tinted_textures_are_bright_and_nearly_grey(name: str) -> None:
    colours = opaque_colours(texture(name))
    assert 0.65 <= (colours @ [0.299, 0.587, 0.114]).mean() / 255 <= 0.75
    assert np.ptp(colours, axis=1).max() <= 20


@pytest.mark.parametrize("name", GROUNDS)
def test_grounds_tile_without_a_seam_in_a_few_calm_shades(name: str) -> None:
    image = texture(name)
    assert seam_ratio(image) <= 1.2
    assert len(np.unique(image.reshape(-1, 4), axis=0)) <= 6
    assert (image[..., :3] @ [0.299, 0.587, 0.114]).std() < 16


@pytest.mark.parametrize("axis", [0, 1])
def test_the_seam_measure_detects_a_seam(axis: int) -> None:
    sloped = texture("stone").copy()
    sloped[..., :3] += (np.indices((16, 16))[axis] * 4).astype(np.uint8)[..., None]
    assert seam_ratio(sloped) > 2


def test_fixed_side_fringe_matches_a_tinted_top() -> None:
    """Grass sides are painted green, which must be close to the tinted top of the plains."""
    top = opaque_colours(texture("grass_top")).mean(axis=0) * np.array([145, 189, 89]) / 255
    fringe = texture("grass_side")[:2, :, :3].reshape(-1, 3).mean(axis=0)
    assert np.abs(top - fringe).max() < 20


def check_mips(textures: UInt8[np.ndarray, "N 16 16 4"]) -> None:
    """Check the contract of `mip_chain` texel by texel."""
    chain = mip_chain(textures)
    assert [level.shape for level in chain] == [(len(textures), s, s, 4) for s in (16, 8, 4, 2, 1)]
    for level in chain:
        assert level.dtype == np.uint8
        size = level.shape[1]
        step = 16 // size
        for source, mip in zip(textures, level, strict=True):
            counts = np.zeros((size, size), np.int64)
            for row, col in np.ndindex(size, size):
                block = source[row * step : (row + 1) * step, col * step : (col + 1) * step]
                inside = opaque_colours(block)
                counts[row, col] = len(inside)
                if len(inside):
                    np.testing.assert_allclose(mip[row, col, :3], inside.mean(axis=0), atol=0.5 + 1e-9)
            opaque = mip[..., 3] == 255
            assert abs(opaque.sum() - (source[..., 3] == 255).mean() * size * size) <= 0.5
            if opaque.any() and not opaque.all():
                assert counts[opaque].min() >= counts[~opaque].max()


def test_mips_of_all_textures() -> None:
    check_mips(TEXTURES)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(1, 256))
def test_mips_of_any_texture(seed: int, num_opaque: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (16, 16, 4), dtype=np.uint8)
    image[..., 3] = rng.permutation(np.where(np.arange(256) < num_opaque, 255, 0)).reshape(16, 16)
    check_mips(image[None])


def test_mips_keep_the_mean_colour() -> None:
    opaque = (TEXTURES[..., 3] == 255).all(axis=(1, 2))
    for level in mip_chain(TEXTURES):
        drift = level[opaque].mean(axis=(1, 2)) - TEXTURES[opaque].mean(axis=(1, 2))
        assert np.abs(drift).max() <= 0.5
        for name in names_of(Shape.CUTOUT):
            leaf = opaque_colours(level[TEXTURE_NAMES.index(name)])
            assert np.abs(leaf.mean(axis=0) - opaque_colours(texture(name)).mean(axis=0)).max() <= 4


def test_holes_carry_the_colour_around_them() -> None:
    full = mip_chain(TEXTURES)[0]
    np.testing.assert_array_equal(full[..., 3], TEXTURES[..., 3])
    poppy, source = full[TEXTURE_NAMES.index("poppy")], texture("poppy")
    checked = 0
    for row, col in np.ndindex(16, 16):
        neighbours = source.take(range(row - 1, row + 2), 0, mode="wrap").take(
            range(col - 1, col + 2), 1, mode="wrap"
        )
        if source[row, col, 3] == 0 and (neighbours[..., 3] == 255).any():
            expected = opaque_colours(neighbours).mean(axis=0)
            np.testing.assert_allclose(poppy[row, col, :3], expected, atol=0.5 + 1e-9)
            checked += 1
    assert checked > 20
    lowest, highest = opaque_colours(source).min(axis=0), opaque_colours(source).max(axis=0)
    assert ((poppy[..., :3] >= lowest) & (poppy[..., :3] <= highest)).all()


def test_a_stem_keeps_its_foot() -> None:
    """Of equally full texels the lower survive: half of a one-texel stem's column, at the bottom."""
    stem = np.zeros((1, 16, 16, 4), np.uint8)
    stem[0, 2:, 7] = (60, 120, 40, 255)
    alpha = mip_chain(stem)[1][0, :, 3, 3]
    assert alpha.tolist() == [0, 0, 0, 0, 255, 255, 255, 255]
