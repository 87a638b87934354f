"""What a batch of the pre-training shows: rendered hands, people's hands, and places without any."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import SemihandError
from ..models.network import NetworkConfig
from ..synth.background import window
from ..synth.cache import Cache
from ..train.augment import VERDICT_AUGMENT, AugmentConfig, prepare
from ..train.batches import OnDevice, fetch, sample_rows
from ..train.losses import Target, concatenate
from ..train.process import Process
from .pool import CROP_FACTOR, Pool

if TYPE_CHECKING:
    from .run import PretrainConfig

#: Parts of pictures without a hand that are cut at the start.
PLACES = 1024


class Mixture:
    """Draws the batches of one process. On a GPU all pictures lie in its memory, and the cache may still be being rendered.

    pool: people's pictures, a share of every batch. backgrounds: RGB pictures without hands, some of every batch.
    Raises SemihandError where pictures are still to be rendered and there is no GPU.
    """

    def __init__(self, config: PretrainConfig, network: NetworkConfig, process: Process, cache: Cache,
                 pool: Pool | None = None, backgrounds: list | None = None):  # fmt: skip
        on_gpu = process.device.type == "cuda"
        if not on_gpu and len(cache.ready()) < len(cache):
            raise SemihandError(
                "Without a GPU all pictures must be rendered before. Finish `semihand synth cache` first."
            )
        self.config, self.process, self.cache = config, process, cache
        self.size, self._crop_factor = config.train_size or network.input_size, network.crop_factor
        self.pool = pool.to(process.device) if pool and on_gpu else pool
        self.people = round(config.people * config.batch) if pool else 0
        self._rendered = OnDevice(cache, process.device) if on_gpu else None
        self._places = self._cut_places(backgrounds or []).to(process.device)
        self._augment = config.augment or (VERDICT_AUGMENT if network.verdict else AugmentConfig())

    def rows(self, step: int) -> Iterator[np.ndarray | None]:
        """Rows of the cache for each batch from `step` on; None where the device draws from those that are there by then."""
        if self._rendered:
            return itertools.repeat(None)
        rng = np.random.default_rng([self.config.seed, 0, 1])
        count, process = self.config.batch - self.people, self.process
        return itertools.islice(sample_rows(len(self.cache), count, process.rank, process.world, rng), step, None)

    def draw(self, rows: np.ndarray | None, step: int) -> tuple[torch.Tensor, Target]:
        """The batch of a step, with these rendered pictures; images (B, 3, S, S) in 0..255."""
        config, device = self.config, self.process.device
        rng = np.random.default_rng([config.seed, 2, step, self.process.rank])
        if self._rendered:
            rendered = self._rendered.draw(config.batch - self.people)
        else:
            rendered = fetch(self.cache, rows, device)
        sources = [(rendered, self.cache.config["crop_factor"])]
        if self.people:
            sources.append((self.pool.draw(self.people, rng), CROP_FACTOR))
        parts = [prepare(batch, factor, self.size, self._augment, self._crop_factor) for batch, factor in sources]
        image, target = torch.cat([image for image, _ in parts]), concatenate([target for _, target in parts])
        if len(self._places) and (empty := np.flatnonzero(rng.random(len(image)) < config.empty)).size:
            drawn = rng.integers(len(self._places), size=len(empty))
            empty, drawn = torch.from_numpy(empty).to(device), torch.from_numpy(drawn).to(device)
            image[empty] = self._places[drawn].to(image.dtype)
            for tensor, value in ((target.present, False), (target.mask, 0), (target.known, 1)):
                tensor[empty] = value
        return image, target

    def close(self) -> None:
        """No more pictures are taken over from a cache that is being rendered."""
        if self._rendered:
            self._rendered.close()

    def _cut_places(self, backgrounds: list) -> torch.Tensor:
        """(M, 3, S, S) uint8 parts of pictures without a hand."""
        rng = np.random.default_rng([self.config.seed, 3])
        drawn = [backgrounds[i] for i in rng.integers(len(backgrounds), size=PLACES)] if backgrounds else []
        places = [window(rng, one, self.size).clip(0, 255).astype(np.uint8) for one in drawn]
        shape = (0, self.size, self.size, 3)
        return torch.from_numpy(np.stack(places) if places else np.zeros(shape, np.uint8)).permute(0, 3, 1, 2)
