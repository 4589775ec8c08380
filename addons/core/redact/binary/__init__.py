"""MessagePack, protobuf and gRPC, read as a `document` that can be put together again. Imports `formats`,
`masking` and `decoding`.
"""
