"""Encodings undone so that what is found can be masked where it stands. Imports `masking`, where the bounds
on all work are (`findings`).
"""
