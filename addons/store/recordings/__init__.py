"""Recordings: segments written and read, sealed where that is asked for, their index, and what is searched
and checked in them. Imports `audit` and `trail`.
"""
