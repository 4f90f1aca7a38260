"""Detectors that are several steps: opened from the shelf and used like any engine."""
