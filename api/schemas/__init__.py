"""What goes over the wire: the types of requests, responses and problems."""
