"""Expressions: CEL behind one door."""
