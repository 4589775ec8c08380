"""Masks secrets in messages.

What lies here itself is what other parts ask: `message_masks.MessageMasks` does what a rule asks for, by
detector (`detector_set`) and by JSON path; `scrubber.Scrubber` masks what the detectors find in bodies,
texts, URLs and headers; `event_window` does so in streams. `masking.exact` removes known values in every
encoding.

The packages from the bottom up: `formats` and `detectors`, `masking`, `decoding`, `binary` and `screening`,
`reading`. None of these imports what lies here; `reporting` and `scoring` stand above it.
"""
