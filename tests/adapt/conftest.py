"""Crops of unknown frames and a network that turns with its picture, for the tests of adaptation."""

import numpy as np
import pytest
import torch

from semihand.adapt.frames.crops import WIDE_GRID, CropSet
from semihand.models.camera import crop_camera, default_intrinsics
from semihand.models.network import NetworkConfig, StackMaps


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """All tests of adaptation."""


@pytest.fixture
def crop_set():
    """crop_set(count, size=168, **columns): crops of unknown frames, noise where no picture is given, all seen by the
    camera, no landmarks; columns replace the fields of `CropSet`."""

    def build(count=None, size=168, **columns):
        count = len(next(iter(columns.values()))) if count is None else count
        camera = crop_camera(default_intrinsics(640, 480), [320.0, 240.0], 200.0)
        values = {
            "covered": np.ones((count, WIDE_GRID, WIDE_GRID), bool), "K_crop": np.tile(camera.K_crop, (count, 1, 1)),
            "crops": (camera,) * count, "time": np.arange(count) / 30, "segment": np.zeros(count, int),
            "marks_uv": np.full((count, 21, 2), np.nan), "marks_depth": np.full((count, 21), np.nan),
            "marks_presence": np.zeros(count), "marks_spread": np.full((count, 21), np.nan),
        }  # fmt: skip
        if "image" not in columns:
            columns["image"] = np.random.default_rng(0).integers(0, 255, (count, size, size, 3), dtype=np.uint8)
        return CropSet(**(values | columns))

    return build


class DotFinder(torch.nn.Module):
    """Sees joint k where the picture's colour k % 3 is brightest, at depth k / 10, and a hand where it is green."""

    def __init__(self, size):
        super().__init__()
        self.config = NetworkConfig("dots", input_size=size, stem="stride4")
        self.away = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        colour = x[:, torch.arange(21) % 3] + self.away
        depth = (torch.arange(21.0) / 10)[None, :, None, None].expand_as(colour)
        mask = torch.nn.functional.interpolate(x[:, 1:2], (64, 64), mode="bilinear", antialias=True)[:, 0]
        return [StackMaps(20 * colour, depth, 5 * mask, torch.full_like(colour, 2.0))]


@pytest.fixture
def dot_finder():
    """dot_finder(input_size): a network that turns with its picture, as it only looks for coloured dots."""
    return DotFinder
