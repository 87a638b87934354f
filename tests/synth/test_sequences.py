"""Synthetic pictures as sequence folders, their mirror images, and the sheet to look at."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from typer.testing import CliRunner

from semihand.cli import app
from semihand.datasets.sequence import read_sequence
from semihand.errors import SemihandError
from semihand.models.lifting import project
from semihand.synth.preview import draw_skeleton
from semihand.synth.scene import SceneConfig, SceneRenderer
from semihand.synth.sequences import export_synthetic, mirror

SIZE, SEED = 64, 11


def run(*arguments):
    """The command line as `semihand` runs it; a SemihandError stays in `result.exception`."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def renderer():
    return SceneRenderer(SceneConfig(size=SIZE), SEED)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "hands"
    result = run("synth", "export", "--out", folder, "--count", 8, "--seed", SEED, "--size", SIZE)
    assert result.exit_code == 0, result.output
    assert f"8 labelled pictures in {folder}" in result.output
    return read_sequence(folder)


def matrix(K):
    return np.array([[K[0], 0, K[2]], [0, K[1], K[3]], [0, 0, 1.0]], float)


def test_mirrored_hand_has_mirrored_labels(renderer):
    for index in range(4):
        plain = renderer.render(index)
        mirrored = mirror(plain)
        assert_array_equal(mirrored.image, plain.image[:, ::-1])
        assert_array_equal(mirrored.mask, plain.mask[:, ::-1])
        assert_allclose(project(mirrored.xyz.astype(float), matrix(mirrored.K)), mirrored.uv, atol=2e-3)
        assert_allclose(
            mirrored.uv + plain.uv * [1, -1], np.stack([np.full(21, SIZE - 1), np.zeros(21)], -1), atol=1e-5
        )
        assert_allclose(mirrored.xyz[:, 1:], plain.xyz[:, 1:])
        at = np.round(mirrored.uv).astype(int)  # the mirrored labels sit on the same pixels of the mirrored picture
        was = np.round([SIZE - 1, 0] + mirrored.uv * [-1, 1]).astype(int)
        assert_array_equal(mirrored.image[at[:, 1], at[:, 0]], plain.image[was[:, 1], was[:, 0]])


def test_mirroring_twice_gives_the_same_sample(renderer):
    plain = renderer.render(1)
    twice = mirror(mirror(plain))
    for name in plain.__dataclass_fields__:
        assert_allclose(getattr(twice, name), getattr(plain, name), atol=1e-5)


def test_export_reads_back_as_rendered(exported, renderer):
    assert len(exported.frames) == 8
    assert {frame.handedness for frame in exported.frames} == {"left", "right"}
    for index, frame in enumerate(exported.frames):
        truth = renderer.render(index)
        truth = mirror(truth) if frame.handedness == "left" else truth
        picture = cv2.cvtColor(frame.read(), cv2.COLOR_BGR2RGB).astype(float)
        assert picture.shape == (SIZE, SIZE, 3)
        assert np.abs(picture - truth.image).mean() < 12  # JPEG
        assert np.abs(picture - truth.image[:, ::-1]).mean() > np.abs(picture - truth.image).mean()
        assert_allclose(frame.K, matrix(truth.K), rtol=1e-6)
        mask = cv2.resize(truth.mask, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) / 255
        assert_allclose(frame.read_mask(), mask, atol=1 / 255)
        if truth.present:
            assert_allclose(frame.uv, truth.uv, atol=6e-4)
            assert_allclose(frame.xyz, truth.xyz, atol=1e-6)


def test_empty_pictures_are_exported_without_joints(tmp_path):
    export_synthetic(tmp_path / "out", 2, SEED, SceneConfig(size=32, empty=1.0))
    for frame in read_sequence(tmp_path / "out").frames:
        assert frame.uv is None and frame.xyz is None
        assert not frame.read_mask().any()


def test_licence_is_claimed_for_painted_backgrounds_only(exported, tmp_path):
    assert exported.licence == "CC0-1.0" and f"--seed {SEED}" in exported.source
    cv2.imwrite(str(tmp_path / "theirs.png"), np.full((80, 80, 3), 90, np.uint8))
    export_synthetic(tmp_path / "out", 1, SEED, SceneConfig(size=32), backgrounds=tmp_path)
    assert read_sequence(tmp_path / "out").licence == ""


def test_export_never_overwrites(exported):
    result = run("synth", "export", "--out", exported.folder, "--count", 1)
    assert isinstance(result.exception, SemihandError) and result.exit_code == 1
    assert "holds a sequence already" in str(result.exception)


def test_preview_is_a_sheet_of_the_asked_pictures(tmp_path):
    sheet = tmp_path / "sheet.png"
    result = run("synth", "preview", "--out", sheet, "--count", 12, "--size", 32, "--seed", SEED, "--clean")
    assert result.exit_code == 0 and "12 pictures" in result.output
    picture = cv2.imread(str(sheet))
    assert picture.shape == (2 * 32, 10 * 32, 3)
    assert picture[:32].std() > 10 and picture[32:, :64].std() > 10
    assert not picture[32:, 64:].any()  # beyond the twelfth


def test_preview_draws_labels_on_every_third_picture(tmp_path):
    run("synth", "preview", "--out", tmp_path / "a.png", "--count", 3, "--size", 64, "--seed", SEED)
    renderer, sheet = SceneRenderer(SceneConfig(size=64), SEED), cv2.imread(str(tmp_path / "a.png"))
    changed = [
        np.abs(sheet[:, 64 * i : 64 * (i + 1), ::-1].astype(int) - renderer.render(i).image).max() for i in range(3)
    ]
    assert changed[:2] == [0, 0] and changed[2] > 100


def test_skeleton_is_drawn_through_the_pixels_of_its_joints():
    picture = np.zeros((40, 40, 3), np.uint8)
    uv = np.stack([np.full(21, 20.0), np.linspace(5, 35, 21)], -1)
    draw_skeleton(picture, uv, ((255, 255, 255),) * 5)
    u = np.arange(40)
    brightness = picture[10:30].sum((0, 2)).astype(float)
    assert_allclose((u * brightness).sum() / brightness.sum(), 20.0, atol=0.1)


@pytest.mark.parametrize("name", ["sheet.txt", "none/sheet.png"])
def test_preview_that_cannot_be_written_is_one_sentence(tmp_path, name):
    result = run("synth", "preview", "--out", tmp_path / name, "--count", 1)
    assert isinstance(result.exception, SemihandError) and "give a .png or .jpg" in str(result.exception)


def test_impossible_size_is_one_sentence(tmp_path):
    result = run("synth", "preview", "--out", tmp_path / "a.png", "--size", 66)
    assert isinstance(result.exception, SemihandError) and "66" in str(result.exception)


def test_synth_cache_command_renders_and_refuses_other_settings(tmp_path):
    arguments = ("synth", "cache", "--out", tmp_path / "cache", "--count", 2, "--workers", 1, "--seed", SEED)
    assert run(*arguments).exit_code == 0
    image = np.load(tmp_path / "cache" / "image.npy")
    assert_array_equal(image[1], SceneRenderer(replace(SceneConfig(), upright=0.8), SEED).render(1).image)
    again = run(*arguments[:-1], SEED + 1)
    assert isinstance(again.exception, SemihandError) and "other settings" in str(again.exception)
