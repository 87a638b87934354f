"""Which pictures a process takes, their tensors, and the slow copy that follows the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from semihand.errors import SemihandError
from semihand.synth.cache import BLOCK, open_cache, open_caches
from semihand.train.batches import OnDevice, fetch, relative_depth, sample_rows
from semihand.train.ema import Ema

CPU = torch.device("cpu")


def test_relative_depth_by_hand():
    xyz = np.zeros((1, 21, 3), np.float32)
    xyz[0, :, 2] = 0.5
    xyz[0, 10] = [0.0, 0.03, 0.54]  # 5 cm from the root at (0, 0, 0.5)
    xyz[0, 4, 2] = 0.475
    depth = relative_depth(xyz)
    assert_allclose(depth[0, [9, 10, 4, 0]], [0.0, 0.8, -0.5, 0.0], atol=1e-6)


def test_every_epoch_shows_every_picture_once_to_one_of_the_processes():
    shares = []
    for rank in range(2):
        batches = sample_rows(40, 5, rank, 2, np.random.default_rng(3))
        shares.append([next(batches) for _ in range(8)])
    for epoch in (slice(0, 4), slice(4, 8)):
        seen = np.concatenate(shares[0][epoch] + shares[1][epoch])
        assert_array_equal(np.sort(seen), np.arange(40))
    assert all((np.diff(rows) > 0).all() for rows in shares[0])
    assert (np.concatenate(shares[0][:4]) != np.concatenate(shares[0][4:])).any()


def test_fetch_reads_joined_caches_as_one(picture_folder, pictures):
    both = open_caches([picture_folder, picture_folder])
    assert len(both) == 80
    rows = np.array([0, 7, 39, 40, 47, 79])
    joined, plain = fetch(both, rows, CPU), fetch(pictures, np.array([0, 7, 39]), CPU)
    for name, tensor in joined.items():
        assert_close(tensor, torch.cat([plain[name], plain[name]]), atol=0, rtol=0)
    assert open_caches([picture_folder]).image.shape == pictures.image.shape


def test_caches_of_other_sizes_do_not_join(picture_folder, monkeypatch):
    other = replace(open_cache(picture_folder), config={"size": 96, "crop_factor": 1.9})
    given = iter([open_cache(picture_folder), other])
    monkeypatch.setattr("semihand.synth.cache.open_cache", lambda *given_to_it: next(given))
    with pytest.raises(SemihandError, match="b holds pictures of another size"):
        open_caches(["a", "b"])


def half_rendered(pictures):
    """Its second half is still to be rendered: one block for every 20 pictures; with the flag that ends it."""
    flag = np.array([False])
    half = (np.array([True]), len(pictures) // 2), (flag, len(pictures) - len(pictures) // 2)
    return replace(pictures, done=half), flag


def test_pictures_that_are_still_to_be_rendered_are_not_ready(picture_folder, pictures):
    assert len(pictures) < BLOCK
    cache, flag = half_rendered(pictures)
    assert_array_equal(cache.ready(), np.arange(20))
    flag[0] = True
    assert_array_equal(cache.ready(), np.arange(40))
    assert_array_equal(open_cache(picture_folder).ready(), np.arange(40))


def test_a_device_takes_pictures_over_as_they_are_rendered(pictures, monkeypatch):
    monkeypatch.setattr(OnDevice, "PAUSE", 0.02)
    cache, flag = half_rendered(pictures)
    held = OnDevice(cache, CPU)
    assert len(held) == 20
    drawn = held.draw(200)
    first = torch.from_numpy(np.array(pictures.uv[:20]))
    assert all((one == first).flatten(1).all(1).any() for one in drawn["uv"])  # nothing that is not there yet
    flag[0] = True
    held._thread.join(timeout=5)
    assert len(held) == 40 and not held._thread.is_alive()
    everything = fetch(pictures, np.arange(40), CPU)
    for name, tensor in held._tensors.items():
        assert_close(tensor, everything[name])


def test_ema_by_hand():
    network = torch.nn.BatchNorm1d(1)
    ema = Ema(network, decay=0.2)
    with torch.no_grad():
        network.weight.fill_(5.0)
        network.num_batches_tracked.fill_(3)
    ema.update(network)
    decay = 2 / 21  # of the short memory at the start
    assert ema.network.weight.item() == pytest.approx(decay * 1.0 + (1 - decay) * 5.0)
    assert ema.network.num_batches_tracked.item() == 3
    before = ema.network.weight.item()
    ema.steps = 1000
    ema.update(network)
    assert ema.network.weight.item() == pytest.approx(0.2 * before + 0.8 * 5.0)
    assert network.weight.item() == 5.0 and not ema.network.training
