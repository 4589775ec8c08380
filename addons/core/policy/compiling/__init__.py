"""Policy files to rules: names looked up, and what can never match."""
