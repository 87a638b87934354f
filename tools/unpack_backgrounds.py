"""The folder of free pictures that the released weights saw as backgrounds, beside the painted ones.

Sources, both unpacked beforehand: the npm package @pmndrs/assets 1.7.0 (CC0-1.0), whose hdri/*.exr.js hold small
panoramas of rooms and streets; and the Python package scikit-image, of whose sample pictures only those in the public
domain or under CC0 are taken (astronaut, brick, chelsea, coffee, grass, gravel, rocket).

    python tools/unpack_backgrounds.py ASSETS_PACKAGE SKIMAGE_DATA OUT        (needs the OpenEXR package)
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import OpenEXR

FREE_SAMPLES = ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "rocket.jpg")


def read_panorama(script: Path) -> np.ndarray:
    """Linear RGB (H, W, 3) float32 of a base64 EXR inside a JavaScript module."""
    payload = re.search(r"base64,([A-Za-z0-9+/=]+)", script.read_text())
    if payload is None:
        raise SystemExit(f"{script} holds no base64 picture; give the unpacked package @pmndrs/assets 1.7.0.")
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(base64.b64decode(payload.group(1)))
        file.flush()
        with OpenEXR.File(file.name) as exr:
            channels = exr.channels()
            if "RGB" in channels:
                return channels["RGB"].pixels.astype(np.float32)
            return np.stack([channels[name].pixels for name in "RGB"], -1).astype(np.float32)


def tone_map(linear: np.ndarray) -> np.ndarray:
    """uint8 sRGB with the 85th percentile of the brightest channel at white."""
    linear = np.nan_to_num(linear, posinf=1e4)
    return (np.clip(linear / np.percentile(linear.max(-1), 85), 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path)
    parser.add_argument("samples", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for script in sorted(arguments.assets.glob("hdri/*.exr.js")):
        picture = tone_map(read_panorama(script))
        cv2.imwrite(str(arguments.out / f"{script.name.split('.')[0]}.png"), picture[..., ::-1])
    for name in FREE_SAMPLES:
        shutil.copy(arguments.samples / name, arguments.out)


if __name__ == "__main__":
    main()
