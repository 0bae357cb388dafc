"""The sweep: it rescues stalled jobs, restores lost ones and removes expired ones."""
