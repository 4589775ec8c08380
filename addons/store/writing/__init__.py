"""What writes the audit log and recordings, durable, in groups: `journal` is the door, `committer` does it,
here or in a process of its own; `process_lock` tells who of those that write lives. Imports `audit` and
`recordings`.
"""
