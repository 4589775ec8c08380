"""Control: the approver's API and pages, health and figures, and messages about approvals.

`login` is at the bottom, `parts` is what everything above is given, and `app` puts it together.
"""
