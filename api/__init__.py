"""The HTTP service: Falcon resources over ``pipeline.service``, and the command line."""
