"""Questions to the audit log: searches, the stories of calls, sessions. Imports `audit`."""
