"""What a rule asks of a call, one kind a file."""
