"""The doctor: it checks every dependency and says what to do."""
