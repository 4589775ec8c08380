"""Approvals as they are stored: changes for the journal, what reads them, and the messages about them.
Imports `audit`, where their tables are (`approval_schema`), and `writing`.
"""
