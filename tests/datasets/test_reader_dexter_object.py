"""Dexter+Object in its original layout: fingertips through the depth-to-colour calibration."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.open import known_splits, open_dataset
from semihand.errors import SemihandError

TIPS = [4, 8, 12, 16, 20]
DEPTH_TO_COLOR = np.array(
    [[0.9999, 0.0034, 0.0161, 19.0473], [-0.0033, 1.0, -0.0079, -1.8514], [-0.0162, 0.0079, 0.9998, -4.7501]]
)


def text(tips_mm):
    """A line of the annotation: x, y, z of five fingertips in the depth camera's frame, x left and y up."""
    return "; ".join(", ".join(f"{value:g}" for value in tip) for tip in tips_mm) + ";"


#: Thumb to little fingertip; the depth camera sees the ring finger nowhere.
TIPS_MM = np.array([[10.0, 20, 400], [-30, 20, 410], [-40, -10, 420], [0, 0, 32001], [25, -35, 430]])


@pytest.fixture
def folder(tmp_path, picture):
    """All six recordings; pictures 0, 1 and 10, whose order is that of the numbers."""
    for recording in known_splits("dexter-object")[1:]:
        part = tmp_path / "data" / recording
        for i in (0, 1, 10):
            picture(part / f"color/image_{i}_color.png")
            picture(part / f"depth/image_{i}_depth.png")
        (part / "annotations").mkdir()
        lines = [text(TIPS_MM), text(TIPS_MM + [0, 0, 10]), text(np.full((5, 3), 32001.0))]
        (part / "annotations" / f"{recording}3D.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_fingertips_stand_in_the_color_camera(folder):
    sequence = open_dataset(folder, split="Grasp1")
    assert [frame.image.name for frame in sequence.frames] == [f"image_{i}_color.png" for i in (0, 1, 10)]
    frame = sequence.frames[0]
    assert (frame.handedness, frame.gesture) == ("left", "Grasp1")
    thumb = DEPTH_TO_COLOR @ [-10, -20, 400, 1]
    assert_allclose(frame.xyz[4], thumb / 1000)
    assert_allclose(frame.xyz[20], DEPTH_TO_COLOR @ [-25, 35, 430, 1] / 1000)
    assert_allclose(frame.uv_label()[4], thumb[:2] / thumb[2] * [587.45209, 600.67456] + [325, 249])
    assert np.isnan(np.delete(frame.xyz, [4, 8, 12, 20], axis=0)).all()  # all but tips, and the tip without depth


def test_the_box_holds_the_fingertips_and_twenty_centimetres(folder):
    frame = open_dataset(folder, split="Grasp1").frames[0]
    uv, box = frame.uv_label()[[4, 8, 12, 20]], frame.box
    assert (uv >= box[:2]).all() and (uv <= box[:2] + box[2:]).all()
    depth = np.nanmean(frame.xyz[TIPS, 2])
    assert_allclose(box[2:], 0.2 / depth * np.array([587.45209, 600.67456]))


def test_a_picture_without_measured_fingertip_is_unlabelled(folder):
    frame = open_dataset(folder, split="Pinch").frames[2]
    assert (frame.xyz, frame.uv_label(), frame.box) == (None, None, None)


def test_all_six_recordings_are_the_default(folder):
    sequence = open_dataset(folder)
    assert len(sequence.frames) == 18
    assert {frame.gesture for frame in sequence.frames} == {"Grasp1", "Grasp2", "Occlusion", "Rigid", "Pinch", "Rotate"}


def test_labels_outside_the_pictures_are_said(folder, caplog):
    open_dataset(folder, split="Rigid")
    assert "outside" not in caplog.text
    file = folder / "data/Rigid/annotations/Rigid3D.txt"
    file.write_text("\n".join([text(TIPS_MM + [900, 0, 0])] * 3))
    open_dataset(folder, split="Rigid")
    assert "12 of 12 fingertips fall outside their pictures" in caplog.text


def test_what_is_missing_or_broken_is_named(folder):
    file = folder / "data/Rotate/annotations/Rotate3D.txt"
    (folder / "data/Rotate/color/image_10_color.png").unlink()
    with pytest.raises(SemihandError, match=r"labels 3 pictures, but \S+Rotate.color holds 2"):
        open_dataset(folder)
    file.write_text("1, 2, 3; 4, 5, 6;\n")
    with pytest.raises(SemihandError, match="line 1 of .*Rotate3D.txt holds 6 numbers instead of 15"):
        open_dataset(folder)
    file.write_text(text(TIPS_MM).replace("400", "far"))
    with pytest.raises(SemihandError, match="does not hold numbers"):
        open_dataset(folder)
    file.unlink()
    with pytest.raises(SemihandError, match="no data/Rotate/annotations/Rotate3D.txt and no Rotate/annotations"):
        open_dataset(folder)
