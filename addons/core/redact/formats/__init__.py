"""Where values stand in JSON, multipart bodies and cookies, whatever they are. Imports no other package of
`redact`.
"""
