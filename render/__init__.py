"""GS1 rules and symbol rendering: pure functions, bytes in and bytes out, no I/O, no settings."""
