"""Embedded defaults for the first minute, the demo and the tests.

A development OIDC issuer and a stand-in for Datadog. Each is a program of its own on loopback; nothing here
imports ddgate's other packages.
"""
