"""The live path: camera, detect, crop, estimate, lift, smooth, draw. Never imports torch."""
