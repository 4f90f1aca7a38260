"""Detectors from before networks learnt their features: numpy and numba alone, no torch."""
