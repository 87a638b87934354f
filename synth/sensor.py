"""What a webcam does to a picture: motion blur, defocus, low resolution, colour, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class SensorConfig:
    """Probability of each defect; `strength` scales how strong they are (0: a perfect camera)."""

    motion_blur: float = 0.12
    defocus: float = 0.35
    low_resolution: float = 0.25
    desaturate: float = 0.25
    noise: float = 0.6
    jpeg: float = 0.6
    overexpose: float = 0.06
    strength: float = 1.0


def _motion_blur(rng, image):
    length = int(rng.integers(3, 12))
    side, middle = length | 1, length // 2  # an odd kernel, or the hand would move away from its labels
    kernel = np.zeros((side, side), np.float32)
    kernel[middle] = 1
    if length < side:
        kernel[middle, [0, -1]] = 0.5
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((middle, middle), rng.uniform(0, 180), 1), (side, side))
    return cv2.filter2D(image, -1, kernel / (kernel.sum() + 1e-6))


def _noise(rng, shape, sigma):
    """Sensor noise, partly coloured and partly grey, a quarter of it blurred as a denoiser leaves it."""
    noise = rng.standard_normal(shape, np.float32) * np.float32(sigma)
    if rng.random() < 0.25:
        noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * 2.0
    return noise


def degrade(rng, image, config: SensorConfig) -> np.ndarray:
    """image (S, S, 3) float32 RGB in 0..255 -> uint8 of the same size."""
    size, strength = image.shape[0], config.strength
    if rng.random() < config.motion_blur * strength:
        image = _motion_blur(rng, image)
    if rng.random() < config.defocus * strength:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.4))
    if rng.random() < config.low_resolution * strength:
        small = int(size * rng.uniform(0.35, 0.8))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    white_balance = 1 + strength * rng.uniform(-0.12, 0.12, 3)
    exposure = 1 + strength * rng.uniform(-0.3, 0.25)
    if rng.random() < config.overexpose * strength:
        exposure *= rng.uniform(1.2, 1.8)
    image = image * (white_balance * exposure).astype(np.float32) + np.float32(strength * rng.uniform(-15, 15))
    if rng.random() < config.desaturate * strength:
        grey = image.mean(-1, keepdims=True)
        image = grey + (image - grey) * np.float32(rng.uniform(0.2, 1.5))
    if rng.random() < config.noise * strength:
        image = image + _noise(rng, image.shape, rng.uniform(1, 11))
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < config.jpeg * strength:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), quality)[1]  # OpenCV compresses BGR
        image = np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])
    return image
