"""Who asks: logins of browsers, tokens of people, and who of them is blocked. Knows nothing of approvals."""
