"""Boxes on pictures: drawn straight onto the planes that a video encoder takes, without a way through RGB."""
