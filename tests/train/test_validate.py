"""Scores of networks whose errors are known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from semihand.models.decode import cell_centres
from semihand.models.network import Hourglass, StackMaps
from semihand.train.augment import prepare
from semihand.train.batches import fetch
from semihand.train.validate import contact_sheet, errors, predict, score

CPU = torch.device("cpu")


class Oracle:
    """Answers with the truth of the next rows, whatever the picture; `uv_error` and `depth_error` are added."""

    def __init__(self, config, cache, uv_error=0.0, depth_error=0.0):
        self.config, self.row = config, 0
        batch = fetch(cache, np.arange(len(cache)), CPU)
        truth = prepare(batch, cache.config["crop_factor"], 64, None, config.crop_factor)[1]
        self.uv, self.depth = truth.uv + uv_error, truth.depth + depth_error
        self.mask, self.present = truth.mask, truth.present

    def eval(self):
        return self

    def __call__(self, image):
        rows = slice(self.row, self.row + len(image))
        self.row += len(image)
        size = self.config.map_size
        cell, uv = 64 / size, self.uv[rows]
        weight_u = (1 - (cell_centres(size) - uv[..., :1]).abs() / cell).clamp(min=0)
        weight_v = (1 - (cell_centres(size) - uv[..., 1:]).abs() / cell).clamp(min=0)
        heat = (weight_v[..., :, None] * weight_u[..., None, :] + 1e-20).log()
        depth = (self.depth[rows] + 3.0)[..., None, None].expand_as(heat)  # any constant: the root's is taken off
        sure = torch.where(self.present[rows], 4.0, -4.0)[:, None, None, None].expand_as(heat)
        return [StackMaps(heat, depth, (self.mask[rows] - 0.5) * 10, sure)]


def only(row, joint, value, count=40, dims=()):
    """Zeros (count, 21, ...) but for one joint of one row, or of every row where row is None."""
    out = torch.zeros(count, 21, *dims)
    out[slice(None) if row is None else row, joint] = torch.as_tensor(value)
    return out


@pytest.mark.parametrize("crop_factor", [1.9, 1.5])
def test_truth_scores_zero(pictures, micro, crop_factor):
    scores, _ = score(Oracle(replace(micro, crop_factor=crop_factor), pictures), pictures, False, CPU, batch=16)
    assert_allclose([scores.epe_mm, scores.depth_mm], 0, atol=0.05)
    assert_allclose(scores.nme, 0, atol=2e-4)
    assert scores.mask_iou == 1.0 and scores.empty == 1.0
    assert "EPE 0.0" in str(scores)


def test_errors_by_hand(pictures):
    rows = np.arange(3)
    batch = fetch(pictures, rows, CPU)
    truth = prepare(batch, 1.9, 64, None, 1.5)[1]
    uv, depth = truth.uv.numpy(), truth.depth.numpy()
    epe, nme, depth_mm = errors(pictures, rows, uv, depth, uv, 1.5)
    assert_allclose(np.concatenate([epe, nme, depth_mm]), 0, atol=2e-3)
    moved, box = uv.copy(), (uv.max(1) - uv.min(1)).max(1)
    moved[:, 4] += [1.2, 1.6]  # 2 pixels of the grid
    epe, nme, depth_mm = errors(pictures, rows, moved, depth, uv, 1.5)
    millimetres = 2 * (64 * 1.5 / 1.9 / 64) * pictures.xyz[rows, 4, 2] / pictures.K[rows, 0] * 1000
    assert_allclose(epe, millimetres / 21, rtol=1e-3)
    assert_allclose(nme, 2 / box / 21, rtol=1e-4)
    assert_allclose(depth_mm, 0, atol=2e-3)
    deeper = depth.copy()
    deeper[:, 8] += 0.25
    epe, nme, depth_mm = errors(pictures, rows, uv, deeper, uv, 1.5)
    xyz = pictures.xyz[rows]
    bone = np.linalg.norm(xyz[:, 10] - xyz[:, 9], axis=1) * 1000
    along_ray = np.linalg.norm(xyz[:, 8] / xyz[:, 8, 2:], axis=1)
    assert_allclose(depth_mm, 0.25 * bone / 21, rtol=1e-3)
    assert_allclose(epe, 0.25 * bone * along_ray / 21, rtol=1e-3)


def test_worst_pictures_come_first_and_empty_ones_last(pictures, micro):
    shown = np.flatnonzero(pictures.present)
    bad, empty = int(shown[3]), int(np.flatnonzero(~pictures.present)[0])
    depth_error = only(bad, 5, 4.0) + only(empty, 6, 90.0)
    scores, worst = score(Oracle(micro, pictures, depth_error=depth_error), pictures, False, CPU)
    assert worst[0] == bad and worst[-1] in np.flatnonzero(~pictures.present)
    assert sorted(worst) == list(range(len(pictures)))
    alone, _ = score(Oracle(micro, pictures, depth_error=only(bad, 5, 4.0)), pictures, False, CPU)
    assert scores == alone  # what a network says about an empty picture's joints is nobody's error


def test_confident_network_does_not_recognise_empty_pictures(pictures, micro):
    oracle = Oracle(micro, pictures)
    oracle.present[:] = True
    assert score(oracle, pictures, False, CPU)[0].empty == 0.0


def test_half_a_mask_has_half_the_iou(pictures, micro):
    oracle = Oracle(micro, pictures)
    iou = []
    for mask in oracle.mask:
        before = (mask > 0.5).sum()
        mask[:32] = 0
        iou.append(float((mask > 0.5).sum() / before.clamp(min=1)))
    expected = np.mean(np.array(iou)[np.asarray(pictures.present)])
    assert score(oracle, pictures, False, CPU)[0].mask_iou == pytest.approx(expected, abs=1e-5)
    assert 0.2 < expected < 0.8


def test_predict_feeds_another_size_when_asked(pictures, micro):
    torch.manual_seed(0)
    network = Hourglass(micro).eval()
    own, small = (predict(network, pictures, np.arange(4), False, CPU, size) for size in (None, 64))
    assert own[0].shape == small[0].shape == (4, 21, 2)
    assert np.abs(own[0] - small[0]).max() > 1e-4
    assert_allclose(own[2], small[2], atol=1e-4)  # the truth is on the same grid


def test_contact_sheet_shows_forty_and_the_twenty_worst(pictures, micro, tmp_path):
    oracle = Oracle(micro, pictures)
    oracle.uv, oracle.depth = torch.cat([oracle.uv, oracle.uv[:20] + 6]), oracle.depth.repeat(2, 1)
    oracle.mask, oracle.present = oracle.mask.repeat(2, 1, 1), oracle.present.repeat(2)
    contact_sheet(oracle, pictures, tmp_path / "sheet.png", np.arange(40), CPU)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (6 * 64, 10 * 64, 3)
    first = cv2.cvtColor(pictures.image[0], cv2.COLOR_RGB2BGR).astype(int)
    right, wrong = sheet[:64, :64].astype(int), sheet[4 * 64 : 5 * 64, :64].astype(int)
    assert (right != first).any() and (wrong != right).any()
    white = [(np.abs(tile - 255).max(-1) < 8).sum() for tile in (right, wrong)]
    assert white[1] > white[0] + 5  # only where prediction and truth part does the truth's white show
