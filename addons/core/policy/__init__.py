"""Policy: files of YAML rules, compiled into one set that decides calls. See `policy_set` and `request`."""
