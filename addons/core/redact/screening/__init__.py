"""What of a text is looked at, and what is passed over unread. Imports `formats`, `detectors` and
`decoding`.
"""
