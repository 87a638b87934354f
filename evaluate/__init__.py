"""Measuring: a room for each program (labels, video, ablate, gate_study, bench, peers), the demo, and this machine."""
