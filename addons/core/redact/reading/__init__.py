"""Finds secrets in a text by its structure, layer by layer; `scan` and `text_reading` put the rest together.
Imports `formats`, `detectors`, `masking`, `decoding` and `screening`.
"""
