"""RHD in its original layout: order, units, which hand, masks, and files that are refused."""

import pickle

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.datasets.open import open_dataset
from semihand.errors import SemihandError
from semihand.models.lifting import project

K = np.array([[282.9, 0, 160], [0, 283.5, 161], [0, 0, 1]])
#: RHD's own order: the wrist, then every finger from its tip to the palm.
FROM_TIPS = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]


@pytest.fixture
def rhd(tmp_path, hand, picture):
    """Four evaluation pictures: left larger, right larger, right alone visible, both hidden with left larger."""
    left, right = hand, hand + [0.1, 0.02, 0.1]
    xyz = np.concatenate([left[FROM_TIPS], right[FROM_TIPS]])
    folder, samples = tmp_path / "RHD_published_v2", {}
    for i, (left_seen, right_seen, ids) in enumerate(
        [(1, 1, (2, 17, 17, 33)), (1, 1, (2, 18, 33, 33)), (0, 1, (17, 17, 17, 18)), (0, 0, (1, 1, 17, 0))]
    ):
        seen = np.repeat([[left_seen], [right_seen]], 21, axis=0)
        uv_vis = np.concatenate([project(xyz, K), seen], axis=1)
        samples[i] = {"uv_vis": uv_vis, "xyz": xyz, "K": K}
        picture(folder / f"evaluation/color/{i:05d}.png", (4, 1))
        picture(folder / f"evaluation/depth/{i:05d}.png", (4, 1))
        picture(folder / f"evaluation/mask/{i:05d}.png", (4, 1))
        cv2.imwrite(str(folder / f"evaluation/mask/{i:05d}.png"), np.array([ids], np.uint8))
    save(folder, samples)
    return folder, samples, {"left": left, "right": right}


def save(folder, samples):
    with (folder / "evaluation/anno_evaluation.pickle").open("wb") as file:
        pickle.dump(samples, file, protocol=2)


def test_the_larger_hand_in_mediapipe_order_metres_and_pixels(rhd):
    folder, _, hands = rhd
    sequence = open_dataset(folder)
    assert (sequence.name, len(sequence.frames)) == ("RHD evaluation", 4)
    assert [frame.handedness for frame in sequence.frames] == ["left", "right", "right", "left"]
    for frame in sequence.frames:
        assert_allclose(frame.xyz, hands[frame.handedness])
        assert_allclose(frame.K, K)
        assert_allclose(project(frame.xyz, frame.K), frame.uv, atol=1e-9)
        assert frame.read().shape == (1, 4, 3)


def test_masks_are_the_chosen_hands_ids(rhd):
    frames = open_dataset(rhd[0]).frames
    for frame, mask in zip(frames, ([1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 0])):
        assert_array_equal(frame.read_mask(), [mask])


def test_nan_labels_become_unlabelled_and_are_said(rhd, caplog):
    folder, samples, hands = rhd
    samples[1]["xyz"] = samples[1]["xyz"].copy()
    samples[1]["xyz"][21 + 4] = np.nan  # the right thumb's CMC
    samples[1]["xyz"][21 + 1] = [0, 0, -1]  # its tip
    save(folder, samples)
    frame = open_dataset(folder).frames[1]
    assert np.isnan(frame.xyz[[1, 4]]).all() and np.isfinite(frame.uv).all()
    assert_allclose(np.delete(frame.xyz, [1, 4], axis=0), np.delete(hands["right"], [1, 4], axis=0))
    assert "1 joints of 1 frames have NaN or infinite 3D values, first in frame 1" in caplog.text
    assert "a depth that is not positive" in caplog.text


def test_a_pickle_that_calls_anything_but_numpy_is_not_run(rhd, tmp_path):
    class Thief:
        def __reduce__(self):
            return (open, (str(tmp_path / "stolen"), "w"))

    folder, samples, _ = rhd
    save(folder, {0: {**samples[0], "K": Thief()}})
    with pytest.raises(SemihandError, match=r"was not read: it wants to call \S+\.open"):
        open_dataset(folder)
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_of_arrays_is_read(rhd, protocol):
    folder, samples, _ = rhd
    (folder / "evaluation/anno_evaluation.pickle").write_bytes(pickle.dumps(samples, protocol=protocol))
    assert len(open_dataset(folder).frames) == 4


def test_incomplete_downloads_name_the_file(rhd):
    folder, samples, _ = rhd
    file = folder / "evaluation/anno_evaluation.pickle"
    with pytest.raises(SemihandError, match="holds no training/anno_training.pickle"):
        open_dataset(folder, split="training")
    (folder / "evaluation/mask/00002.png").unlink()
    with pytest.raises(SemihandError, match=r"mask.00002.png is missing \(1 of 8 are\)"):
        open_dataset(folder)
    (folder / "evaluation/color/00001.png").unlink()
    with pytest.raises(SemihandError, match=r"color.00001.png is missing \(2 of 8 are\)"):
        open_dataset(folder)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(SemihandError, match="is no complete pickle file"):
        open_dataset(folder)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda samples: samples.clear(), "holds no samples"),
        (lambda samples: samples[2].pop("K"), "entry 2 has no field 'K'"),
        (lambda samples: samples[0].update(xyz=np.zeros((42, 2))), "xyz in .* does not hold numbers"),
        (lambda samples: samples[3].update(K=np.diag([np.nan, 1, 1])), r"the camera of frame 3 in .* is \[\[nan"),
    ],
)
def test_other_labels_than_rhds_are_refused(rhd, change, message):
    folder, samples, _ = rhd
    change(samples)
    save(folder, samples)
    with pytest.raises(SemihandError, match=message):
        open_dataset(folder)
