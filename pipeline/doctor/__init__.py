"""Doctor: checks of every dependency, with advice on what to do."""
