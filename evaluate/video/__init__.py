"""What `semihand eval --video` measures on a video without labels: steadiness, gaps, second opinions, a page."""
