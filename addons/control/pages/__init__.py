"""The approvals page, its templates and its files. It knows the API's models; the API knows nothing of it."""
