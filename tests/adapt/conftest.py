"""A small cache of rendered pictures and a micro network for the tests of training."""

import pytest
import torch

from semihand.models.network import NetworkConfig
from semihand.synth.cache import open_cache, render_cache
from semihand.synth.scene import SceneConfig

#: Network of 60 000 weights; fed 64 px pictures a step on 16 of them takes a few hundredths of a second.
MICRO = NetworkConfig(
    "micro", input_size=128, stem="stride4", widths=(32, 32, 32), stacks=1, bottleneck_min=16, crop_factor=1.9
)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than ten seconds on an idle core")


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory):
    """A finished cache of 40 pictures of 64 px, one hand each, a few of them empty."""
    folder = tmp_path_factory.mktemp("pictures") / "cache"
    config = SceneConfig(size=64, second_hand=0, held_object=0, occluder=0, upright=1.0, empty=0.1)
    render_cache(folder, 40, 11, config, workers=1, progress=False)
    return folder


@pytest.fixture(scope="session")
def pictures(picture_folder):
    return open_cache(picture_folder)


@pytest.fixture
def micro():
    return MICRO


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order, so that runs can be compared bit by bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
