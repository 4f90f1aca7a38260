"""The output forms of detectors: one file each, one table here."""
