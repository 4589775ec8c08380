"""The audit log's file: its records, the tree over them, its signed heads and keys, and what verifies it. The
tables of approvals and of the blocklist lie in the same file. Imports no other package of `store`.
"""
