"""What a secret or personal data looks like: the built-in detectors, a team's own, and `names`, which judges
names and values. Imports no other package of `redact`.
"""
