"""What the frame encoder `hog` promises: edges by direction, the same in any batch."""

from __future__ import annotations

import numpy as np
import pytest

from emoframe.core.errors import ComponentError, DataError
from emoframe.perception.frame_encoders.hog import HOG
from emoframe.records import Frames
from emoframe.testing import check_part


def frames(rgb: np.ndarray) -> Frames:
    index = np.arange(len(rgb))
    return Frames(rgb, index / 25, index)


def noise(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, size, size, 3), dtype=np.uint8)


def stripes(degrees: float) -> np.ndarray:
    """A picture whose brightness rises in one direction, counted from right to down."""
    down, right = np.mgrid[-16:16, -16:16]
    angle = np.deg2rad(degrees)
    level = 128 + 5 * right * np.cos(angle) + 5 * down * np.sin(angle)
    return np.repeat(level.astype(np.uint8)[None, ..., None], 3, axis=-1)


def test_it_keeps_the_contract_of_its_kind() -> None:
    check_part("frame_encoder", HOG(size=32, cells=4, bins=6))


@pytest.mark.parametrize("degrees", [10, 50, 90, 130, 170, 230])
def test_a_direction_falls_into_its_own_bin(degrees: float) -> None:
    found = HOG(size=32, cells=4, bins=9).encode(frames(stripes(degrees)), None)
    assert found.x.reshape(-1, 9).sum(0).argmax() == degrees % 180 // 20


def test_contrast_and_brightness_change_nothing() -> None:
    soft = noise(2, 32) // 3
    dark, bright = (
        HOG(size=32, cells=4).encode(frames(rgb), None).x for rgb in (soft, soft * 2 + 9)
    )
    np.testing.assert_allclose(dark, bright, atol=1e-5)


def test_a_batch_gives_what_each_picture_gives_alone() -> None:
    rgb, hog = noise(40, 32), HOG(size=32, cells=4)
    together = hog.encode(frames(rgb), None).x
    alone = np.concatenate([hog.encode(frames(rgb[n : n + 1]), None).x for n in range(40)])
    assert np.array_equal(together, alone)


def test_a_flat_picture_has_no_edges() -> None:
    found = HOG(size=32, cells=4).encode(frames(np.full((1, 32, 32, 3), 7, np.uint8)), None)
    assert not found.x.any()
    assert found.valid.all()


def test_it_agrees_with_scikit_image() -> None:
    peer = pytest.importorskip("skimage.feature")
    rgb = noise(2, 48)
    rgb[1] //= 16  # many equal directions
    expected = [
        peer.hog(
            picture,
            orientations=7,
            pixels_per_cell=(8, 8),
            cells_per_block=(2, 2),
            block_norm="L2-Hys",
            channel_axis=-1,
        )
        for picture in rgb
    ]
    found = HOG(size=48, cells=6, bins=7).encode(frames(rgb), None).x
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ComponentError, match=r"square pictures of 32 pixels and was given 48 x 48"):
        HOG(size=32, cells=4).encode(frames(noise(1, 48)), None)


def test_a_size_that_the_cells_do_not_tile_is_refused() -> None:
    with pytest.raises(DataError, match=r"size=100 is no multiple of cells=8.*size=96"):
        HOG(size=100)
