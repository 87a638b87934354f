"""Hand model, network, geometry and released weights. Everything else builds on this package."""
