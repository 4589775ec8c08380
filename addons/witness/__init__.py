"""A witness of audit logs, for another machine to run: it cosigns a log's checkpoint where that continues
every earlier one, and so a log that it watches can't change its past unseen.
"""
