"""GS1: identifiers, their values, and Digital Link URIs."""
