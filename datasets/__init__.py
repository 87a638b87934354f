"""Labelled pictures from disk: the project's sequence folder and published data sets, in one in-memory form."""
