"""What becomes of a find: masks and edits, copies of the same value, known values, what stands at a JSON
path. Imports `formats`.
"""
