"""A pool that travels to a GPU comes out as it went in."""

import json
from argparse import Namespace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
from numpy.testing import assert_array_equal

FILE = Path(__file__).parents[2] / "tools" / "train_on_gpu.py"


def test_a_packed_pool_is_unpacked_without_what_has_no_label(tmp_path):
    spec = spec_from_file_location("train_on_gpu", FILE)
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    folder, rng = tmp_path / "pool", np.random.default_rng(0)
    folder.mkdir()
    image = np.repeat(np.repeat(rng.integers(0, 255, (3, 4, 4, 3), np.uint8), 16, 1), 16, 2)
    arrays = {
        "image": image, "mask": (image[..., 0] > 99).astype(np.uint8) * 255, "uv": rng.random((3, 21, 2), np.float32),
        "weight": np.float32([1, 0, 1])[:, None].repeat(21, 1), "held": np.array([False, True, True]),
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "pool.json").write_text(json.dumps({"data": "people"}))
    tool.pack(Namespace(pool=folder, file=tmp_path / "pool.npz"))
    tool.unpack(Namespace(file=tmp_path / "pool.npz", pool=tmp_path / "there"))
    for name, values in arrays.items():
        found = np.load(tmp_path / "there" / f"{name}.npy")
        if name == "image":
            assert np.abs(found.astype(int) - values[[0, 2]]).mean() < 6
        else:
            assert_array_equal(found, values[[0, 2]])
    assert json.loads((tmp_path / "there" / "pool.json").read_text()) == {"data": "people"}
