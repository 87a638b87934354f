"""The labels of the real development sets, where these are present: geometry and crops."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.labels import label_square
from semihand.datasets.sequence import read_sequence
from semihand.models.camera import crop_camera
from semihand.models.joints import PRIOR_BONE_LENGTHS
from semihand.models.lifting import bone_lengths, lift, project, relative_depth, root_depth, unit_length

SHARED = Path(os.environ.get("SEMIHAND_SHARED", Path(__file__).resolve().parents[3] / "../shared"))


def read(name):
    folder = SHARED / "real" / name
    if not folder.is_dir():
        pytest.skip(f"the real set {name} is not here")
    return read_sequence(folder)


def test_projected_3d_labels_are_the_2d_labels_inside_the_picture():
    for frame in read("ge-real-a").frames:
        uv = project(frame.xyz, frame.K)
        assert_allclose(uv, frame.uv, atol=0.02)
        assert (uv > -0.5).all() and (uv < 255.5).all()


def test_the_label_crop_holds_all_joints_and_lifting_gives_the_hand_back():
    for frame in read("ge-real-a").frames[::10]:
        center, side = label_square(frame)
        crop = crop_camera(frame.K, center, 1.5 * side, mirrored=True)
        virtual, scale = crop.xyz_to_virtual(frame.xyz), unit_length(frame.xyz)
        uv, depth = project(virtual, crop.K_crop), relative_depth(virtual, scale)
        assert (uv > 5).all() and (uv < 58).all()
        assert_allclose(
            crop.xyz_to_camera(lift(uv, depth, crop.K_crop, scale=scale, root_depth=virtual[9, 2])),
            frame.xyz,
            atol=1e-9,
        )


def test_a_hands_own_median_bones_find_its_root_and_average_ones_less_well():
    frames = read("ge-real-a").frames
    xyz, uv, K = (np.stack([getattr(frame, name) for frame in frames]) for name in ("xyz", "uv", "K"))
    scale = np.median(unit_length(xyz))
    depth = relative_depth(xyz, scale)

    def median_error(bones):
        return np.median(np.abs(root_depth(uv, depth, K, bones, scale) / xyz[:, 9, 2] - 1))

    own, average = (median_error(np.median(bone_lengths(xyz), axis=0) / scale), median_error(PRIOR_BONE_LENGTHS))
    assert own < 0.04 and average < 0.16


@pytest.mark.parametrize("kind", ["rotation", "scale", "translation"])
@pytest.mark.parametrize("number", [1, 2])
def test_sets_with_two_joints_are_cropped_by_their_box(kind, number):
    for frame in read(f"ti1k-{kind}-{number}").frames:
        center, side = label_square(frame)
        assert_allclose([*center, side], [*(frame.box[:2] + frame.box[2:] / 2), frame.box[2:].max()])
