"""How well masking does on labelled messages. Imports `masking` and the scrubber."""
