"""Where unlabelled frames come from, the hands in them, and the crops that are learned from."""
