"""Measuring what true millimetres need: the camera's lens and the user's hand."""
