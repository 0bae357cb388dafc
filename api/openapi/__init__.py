"""The OpenAPI document, built from the schemas."""
