"""The resources that calls are about, read from Datadog with the gateway's own key. Imports `audit` and
`writing`.
"""
