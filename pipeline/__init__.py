"""Jobs from request to bundle: ledger, store, staging, actors, and the seam ``service``."""
