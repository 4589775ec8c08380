"""Who calls: issuers' keys over HTTP, tokens verified against them. Imports no other package of `store`."""
