"""What the second world's webcams make of light: exposure, vignetting, Bayer mosaic, noise, sharpening, JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from .room import Webcam


def develop(
    rng: np.random.Generator, take_rng: np.random.Generator, linear: np.ndarray, camera: Webcam,
    offset: np.ndarray, frame: float,
) -> np.ndarray:  # fmt: skip
    """linear (S, S, 3) RGB radiance -> uint8 BGR of the same size.

    rng: this picture's noise; take_rng: exposure error, equal all over a take. offset (2,), frame: the window's place
    in the camera's frame, for vignetting.
    """
    light = _expose(take_rng, linear, camera) * _vignette(camera, linear.shape[0], offset, frame)[..., None]
    light = _mosaic_and_back(rng, light, camera.gain)
    light = light * np.array(camera.balance) * (1 + take_rng.normal(0, 0.04, 3))
    light = _blur_colors(light)
    picture = _tone(np.clip(light, 0, 4))
    picture = cv2.bilateralFilter(picture.astype(np.float32), 5, 0.09, 1.6)
    grey = picture.mean(-1, keepdims=True)
    picture = grey + (picture - grey) * camera.saturation
    picture += camera.sharpen * (picture - cv2.GaussianBlur(picture, (0, 0), 1.2))
    bgr = (np.clip(picture[..., ::-1], 0, 1) * 255 + 0.5).astype(np.uint8)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def _expose(take_rng: np.random.Generator, linear: np.ndarray, camera: Webcam) -> np.ndarray:
    """Auto exposure on the picture's mean with an error of its own; fireflies of the path tracer are capped."""
    bright = linear.mean(-1)
    level = np.exp(np.log(bright + 1e-4).mean())
    linear = linear * np.minimum(1, 12 * level / np.maximum(bright, 1e-6))[..., None]
    target = camera.exposure**2.2 * np.exp(take_rng.normal(0, 0.25))
    measured = [max(float(value), 1e-5) for value in (np.median(linear.mean(-1)), linear.mean())]
    return linear * target * (0.5 / measured[0] + 0.5 / measured[1])


def _vignette(camera: Webcam, size: int, offset: np.ndarray, frame: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    radius = np.hypot(x + offset[0] - frame / 2, y + offset[1] - frame / 2) / (frame / 2)
    return 1 / (1 + camera.vignette * radius**2) ** 2


def _mosaic_and_back(rng: np.random.Generator, light: np.ndarray, gain: float) -> np.ndarray:
    """One colour a pixel (RGGB) with shot and read noise, then bilinear demosaicing as a cheap camera does it."""
    raw = light[..., 1].copy()
    raw[0::2, 0::2], raw[1::2, 1::2] = light[0::2, 0::2, 0], light[1::2, 1::2, 2]
    raw = np.clip(raw, 0, 1.5)
    raw = raw + rng.normal(size=raw.shape) * gain * np.sqrt(raw + 0.02)
    scaled = (np.clip(raw / 1.5, 0, 1) * 65535).astype(np.uint16)
    return cv2.cvtColor(scaled, cv2.COLOR_BayerRGGB2RGB).astype(np.float64) / 65535 * 1.5


def _blur_colors(light: np.ndarray) -> np.ndarray:
    """Chroma noise reduction: the colour differences are blurred, brightness only a little."""
    grey = light.mean(-1, keepdims=True)
    return cv2.GaussianBlur(grey, (0, 0), 0.7)[..., None] + cv2.GaussianBlur(light - grey, (0, 0), 1.6)


def _tone(light: np.ndarray) -> np.ndarray:
    """Linear light to display values in 0..1: a shoulder for highlights, gamma, a little contrast."""
    rolled = np.where(light < 0.6, light, 0.6 + 0.4 * np.tanh((light - 0.6) / 0.4))
    display = np.clip(rolled, 0, 1) ** (1 / 2.2)
    return display + 0.12 * (display - 0.5) * (1 - np.abs(2 * display - 1))
