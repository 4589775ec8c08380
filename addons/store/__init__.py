"""What lasts, behind small interfaces: files, the audit log, other processes, what comes over the network.

What lies here itself is few and general, and imports no package of it. Of the packages `audit` is the lowest,
and most others stand on `writing`; each says what it may import.
"""
