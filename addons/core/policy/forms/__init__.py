"""The forms of policy files, and the schema that editors read."""
