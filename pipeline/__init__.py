"""Jobs from request to bundle: ledger, store, staging, actors, and ``service`` for the API."""
