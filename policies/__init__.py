"""The default policy, packs, and the catalogue of Datadog's operations."""
