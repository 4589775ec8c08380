"""What must happen to the audit log beside calls: heads, calls of dead processes, old recordings, witnesses,
and a log that follows one that can't go on. Imports `audit`, `recordings`, `writing`, `blocking`, `identity`.
"""
