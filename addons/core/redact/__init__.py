"""Masks secrets in messages.

`message_masks.MessageMasks` does what a rule asks for, by detector (`detector_set`) and by JSON path
(`json_paths`, `json_masks`). `scrubber.Scrubber` masks what the detectors find in bodies, texts, URLs and
headers; `exact.ExactScrubber` removes known values in every encoding; `mask` makes masks and finds them
again. From the bottom up: `names` judges names and values, `detector` and `vendors` and `detectors` are the
table, `pairs` reads running text, `jsonish` and `structure` read JSON, `layers` undoes encodings, `scan` puts
these together, `copies` finds what else is the same. Beside text: `charsets` knows wide characters, `packed`
compressed files, `multipart`, `parameters`, `events` and `cookies` the parts of a message; `binary` tells
MessagePack and protobuf, which `msgpack_reader` and `protobuf_reader` read as a `document` that can be put
together again.
"""
