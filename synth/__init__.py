"""Labelled synthetic hands, rendered on the fly."""
