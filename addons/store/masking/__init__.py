"""Masking away from the event loop, and what it is made of: own detectors, compiled databases, a corpus.
Imports no other package of `store`.
"""
