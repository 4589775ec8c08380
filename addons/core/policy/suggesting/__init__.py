"""A policy out of what was seen."""
