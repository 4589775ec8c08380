"""Approvals: one call that waits until people with the right to decide have decided on exactly it."""
