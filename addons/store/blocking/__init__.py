"""The blocklist: freezes and revocations, and what of them is in force now. Imports `audit`, where its tables
are (`blocklist_schema`), and `writing`.
"""
