"""Formats, splits and wrong folders; HSD, which was never released."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.open import FORMATS, known_splits, open_dataset
from semihand.datasets.reader import missing_pictures, usable_xyz
from semihand.datasets.sequence import SequenceWriter
from semihand.errors import SemihandError

PICTURE = np.full((12, 16, 3), 90, np.uint8)


def write_sequence(folder, uv=1.0, gesture=None):
    with SequenceWriter(folder) as writer:
        writer.add(PICTURE, uv=np.full((21, 2), uv), gesture=gesture)
    return folder


def test_a_sequence_folder_is_read_as_ever(tmp_path):
    sequence = open_dataset(write_sequence(tmp_path / "mine"))
    assert (sequence.name, len(sequence.frames)) == ("mine", 1)
    with pytest.raises(SemihandError, match="Unknown split 'test' of sequence; a sequence folder has none"):
        open_dataset(tmp_path / "mine", split="test")
    with pytest.raises(SemihandError, match="sequence has no option wrist"):
        open_dataset(tmp_path / "mine", wrist="none")


def test_every_format_lists_its_splits():
    assert FORMATS == (
        "sequence",
        "rhd",
        "stb",
        "dexter-object",
        "h3d",
        "yt3d",
        "hsd",
        "freihand",
        "coco-wholebody",
        "onehand10k",
    )
    assert known_splits("stb") == ("sk-test", "sk-train", "bb-test", "bb-train")
    assert known_splits("sequence") == ()
    assert all(known_splits(name) for name in FORMATS[1:])


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_of_another_kind_gets_a_sentence_with_the_wanted_file(tmp_path, name):
    wanted = {
        "sequence": "sequence.json",
        "rhd": "evaluation/anno_evaluation.pickle",
        "stb": "labels/B1Counting_SK.mat",
        "dexter-object": "data/Grasp1/annotations/Grasp13D.txt",
        "h3d": "annotation.json",
        "yt3d": "youtube_test.json",
        "hsd": "never released",
        "freihand": "evaluation_K.json",
        "coco-wholebody": "annotations/coco_wholebody_val_v1.0.json",
        "onehand10k": "annotations/onehand10k_test.json",
    }
    with pytest.raises(SemihandError, match=wanted[name]):
        open_dataset(tmp_path, name)


def test_guessing_says_what_was_looked_for(tmp_path):
    with pytest.raises(SemihandError) as error:
        open_dataset(tmp_path)
    for file in ("sequence.json", "anno_evaluation.pickle (rhd)", "training_K.json (freihand)", "(onehand10k)"):
        assert file in str(error.value)


def test_the_folder_above_or_below_is_pointed_at(tmp_path):
    write_sequence(tmp_path / "mine")
    with pytest.raises(SemihandError, match=r"mine is one \(sequence\). Give that folder"):
        open_dataset(tmp_path)
    with pytest.raises(SemihandError, match=r"mine is one \(sequence\). Give that folder"):
        open_dataset(tmp_path / "mine/images")


def test_wrong_words_list_the_right_ones(tmp_path):
    with pytest.raises(SemihandError, match="nothing does not exist"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(SemihandError, match="Unknown data set format 'rdh'; choose auto, sequence, rhd, stb"):
        open_dataset(tmp_path, "rdh")
    with pytest.raises(SemihandError, match="Unknown split 'test' of rhd; choose evaluation, training"):
        open_dataset(tmp_path, "rhd", "test")
    with pytest.raises(SemihandError, match="rhd has no option wrist; it has none"):
        open_dataset(tmp_path, "rhd", wrist="none")
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(SemihandError, match="is a file; RHD is read from its folder"):
        open_dataset(tmp_path / "file.txt", "rhd")


def test_hsd_is_four_sequence_folders_of_which_two_train(tmp_path):
    for i in range(4):
        write_sequence(tmp_path / f"recording{i}", uv=i, gesture="fist" if i == 3 else None)
    train, test = open_dataset(tmp_path, "hsd", "train"), open_dataset(tmp_path, "hsd")
    assert [frame.uv[0, 0] for frame in train.frames] == [0, 1]
    assert [frame.gesture for frame in test.frames] == ["recording2", "fist"]
    assert len(open_dataset(tmp_path, "hsd", "all").frames) == 4
    (tmp_path / "recording0/sequence.json").unlink()
    with pytest.raises(SemihandError, match=r"never released .* Looked for 4 sequence folders, \S+ and found 3"):
        open_dataset(tmp_path, "hsd")


def test_labels_that_cannot_be_are_dropped_and_counted(hand, caplog):
    xyz = np.stack([hand, hand, hand])
    xyz[1, 3, 1], xyz[2, [0, 5], 2], xyz[2, 6] = np.inf, [0, -0.1], np.nan
    clean = usable_xyz("Set", xyz)
    dropped = np.isnan(clean).all(axis=-1)
    assert dropped.sum() == 4 and dropped[1, 3] and dropped[2, [0, 5, 6]].all()
    assert_allclose(clean[~dropped], xyz[~dropped])
    assert "Set: 2 joints of 2 frames have NaN or infinite 3D values, first in frame 1" in caplog.text
    assert "Set: 2 joints of 1 frames have a depth that is not positive, first in frame 2" in caplog.text


def test_missing_pictures_are_found_in_order(tmp_path, picture):
    there = picture(tmp_path / "a/1.png")
    gone = [tmp_path / "b/1.png", tmp_path / "a/2.png"]
    assert missing_pictures([gone[0], there, gone[1]]) == gone
