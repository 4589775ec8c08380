"""Tells a person what masking finds and where, never the value. Imports `formats`, `masking`, `reading` and
the scrubber.
"""
